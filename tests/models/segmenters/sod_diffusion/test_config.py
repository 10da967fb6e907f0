"""SOD-diffusion's configuration: its presets, and what it refuses."""

import pytest

from models.backbone.facts import check_backbone
from models.segmenters.sod_diffusion.config import SodDiffusionConfig
from tests.models.segmenters.sod_diffusion.small import config_on


def test_the_presets_lie_under_what_is_given_and_over_the_defaults():
    paper, released = (
        SodDiffusionConfig.model_validate({"backbone": "sd", "preset": p}) for p in ("paper", "released")
    )
    assert SodDiffusionConfig.model_validate({"backbone": "sd"}) == paper
    chosen = ("fusion", "context_projection", "conv_in", "rgb_range", "freeze_swin")
    assert [getattr(paper, name) for name in chosen] == ["cbam", "conv1x1", "dup_half", "-1..1", True]
    assert [getattr(released, name) for name in chosen] == ["paa", "tile16", "fresh", "0..1", False]
    for config in (paper, released):
        same = {
            "size": 384,
            "learning_rate": 3e-5,
            "weight_decay": 1e-2,
            "max_grad_norm": 1.0,
            "auxiliary": 1.0,
            "ensemble": 10,
        }
        assert {name: getattr(config, name) for name in same} == same
        assert config.batch_size * config.gradient_accumulation_steps == 32
    own = SodDiffusionConfig.model_validate({"preset": "released", "fusion": "cbam"})
    assert (own.fusion, own.conv_in, own.swin, own.size) == ("cbam", "fresh", "pocket", 128)
    assert own.label() == "sod-diffusion, pocket, random weights"
    assert SodDiffusionConfig(start="random", swin="none").label() == "sod-diffusion from random weights, no encoder"


def test_few_steps_want_levels_that_begin_with_noise():
    assert SodDiffusionConfig().spacing == "trailing" and SodDiffusionConfig(steps=1).steps == 1
    with pytest.raises(ValueError, match="steps: expected at least 2 with spacing 'leading'"):
        SodDiffusionConfig(steps=1, spacing="leading")


def check(config: SodDiffusionConfig) -> None:
    config.check(check_backbone(config.backbone), None)


def test_what_does_not_fit_is_refused_in_one_line(tiny_folders):
    folder = tiny_folders["sd2"]
    for choices, said in (
        ({"size": 96}, "size: expected a multiple of 64"),
        ({"context_projection": "tile16"}, "a multiple of 64, got 32 in backbone .*; choose conv1x1"),
    ):
        with pytest.raises(ValueError, match=said):
            check(config_on(folder, **choices))
    check(config_on(folder, context_projection="tile16", swin="none"))
    check(SodDiffusionConfig(preset="released"))
    for choices, said in (({"freeze_swin": True}, "weights are random"), ({"weights": "w.pt"}, "expected 'random'")):
        with pytest.raises(ValueError, match=said):
            config_on(folder, **choices)
    with pytest.raises(ValueError, match="timm has no model 'swin_of_mine'"):
        config_on(folder, swin="swin_of_mine").fetch_weights()
