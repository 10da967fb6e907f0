"""Other schedulers than the paper's: latents are those of diffusers' own pipelines, attention is recorded alike."""

import itertools
import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models.backbone.attention import Record, record_attention
from models.backbone.ddim import noise, timesteps
from models.backbone.facts import FAMILIES, check_backbone
from models.backbone.load import load_backbone
from models.backbone.protocol import Backbone
from models.backbone.sampling import decode, denoise, sample
from models.backbone.schedulers.steppers import FIXED, OfDiffusers, check_sampling, ddim_step
from models.backbone.tokens import category_span
from models.config.cut import CutConfig
from models.config.sampling import SamplingConfig
from models.errors import UserError
from tests.models.backbone import toy_family
from tests.tiny_xl import edit

SCHEDULERS, SPACINGS = ("ddim", "dpm++", "euler"), ("leading", "trailing", "linspace")
CUT, PROMPTS, CATEGORIES = CutConfig(), ["a cat", "the big cat"], ["cat", "cat"]


def pipeline_of(backbone: Backbone, scheduler: Any) -> Any:
    """Diffusers' own pipeline of a backbone's networks."""
    parts = {name: getattr(backbone, name) for name in ("vae", "unet", "text_encoder", "tokenizer")}
    if backbone.facts.family == "StableDiffusionXLPipeline":
        both = {name: getattr(backbone, name) for name in ("text_encoder_2", "tokenizer_2")}
        return StableDiffusionXLPipeline(**parts, **both, scheduler=scheduler, add_watermarker=False)
    return StableDiffusionPipeline(
        **parts, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def by_diffusers(backbone: Backbone, scheduler: str, latents: torch.Tensor, steps: int, guidance: float, **changes):
    """Final latents of diffusers' pipeline with that scheduler, from the same noise and prompts."""
    config = json.loads((backbone.facts.folder / "scheduler" / "scheduler_config.json").read_text())
    name, fixed = FIXED[scheduler]
    fields = {**config, "prediction_type": backbone.facts.prediction_type, **fixed, **changes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of an offset of 0, which the pipeline sets to 1
        pipeline = pipeline_of(backbone, getattr(diffusers, name).from_config(fields))
    pipeline.set_progress_bar_config(disable=True)
    height, width = (cells * backbone.facts.vae_factor for cells in latents.shape[2:])
    return pipeline(
        PROMPTS[: len(latents)], latents=latents.clone(), num_inference_steps=steps, guidance_scale=guidance,
        output_type="latent", height=height, width=width,
    ).images  # fmt: skip


def by_ours(backbone: Backbone, scheduler: str, latents: torch.Tensor, steps: int, guidance: float, spacing=None):
    text = backbone.encode_text(PROMPTS[: len(latents)])
    empty = backbone.unconditional().repeated(len(latents)) if guidance > 1 else None
    return denoise(backbone, latents, text, empty, steps, guidance, scheduler=scheduler, spacing=spacing)


def spaced(scheduler: str, spacing: str) -> dict[str, Any]:
    """Fields of diffusers' scheduler for that spacing; the paper's DDIM has more of its own, whatever a folder says."""
    papers = {"steps_offset": 1, "set_alpha_to_one": False} if (scheduler, spacing) == ("ddim", "leading") else {}
    return {"timestep_spacing": spacing, **papers}


@contextmanager
def recorded(backbone: Backbone, config: SamplingConfig) -> Iterator[Record]:
    """The record of one sample by that configuration."""
    latents, text = first_latents(1), backbone.encode_text(PROMPTS[:1])
    spans = [category_span(backbone.tokenizer, PROMPTS[0], CATEGORIES[0])]
    with record_attention(backbone, (16, 16), spans, text.tokens.shape[1], config.capture) as record:
        levels = config.scheduler, config.spacing
        denoise(backbone, latents, text, backbone.unconditional(), config.steps, config.guidance, None, *levels)
    yield record


def edited(folder: Path, tmp_path: Path, **changes: Any) -> Path:
    """A copy of a backbone's folder with changes to its scheduler's configuration."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    edit(copy / "scheduler" / "scheduler_config.json", **changes)
    return copy


def first_latents(count: int = 2) -> torch.Tensor:
    return torch.stack([noise(70 + i, (4, 16, 16)) for i in range(count)])


@given(
    scheduler=st.sampled_from(SCHEDULERS),
    spacing=st.sampled_from(SPACINGS),
    steps=st.integers(1, 12),
    guidance=st.sampled_from([0, 0.5, 1, 1.5, 2, 7.5]),
)
@example(scheduler="euler", spacing="trailing", steps=1, guidance=0)
@example(scheduler="dpm++", spacing="linspace", steps=1, guidance=7.5)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_latents_are_those_of_diffusers_pipeline(backbone, scheduler, spacing, steps, guidance):
    """Epsilon and v-prediction, with and without guidance, for every scheduler, spacing and number of steps."""
    latents = first_latents()
    expected = by_diffusers(backbone, scheduler, latents, steps, guidance, **spaced(scheduler, spacing))
    found = by_ours(backbone, scheduler, latents, steps, guidance, spacing)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, scale))


@pytest.mark.parametrize("field", [{"use_karras_sigmas": True}, {"final_sigmas_type": "sigma_min"}])
@pytest.mark.parametrize("scheduler", ["dpm++", "euler"])
def test_the_folders_fields_are_followed(tiny_folders, tmp_path, scheduler, field):
    backbone = load_backbone(str(edited(tiny_folders["sd2"], tmp_path, **field)), "cpu")
    latents = first_latents(1)
    expected = by_diffusers(backbone, scheduler, latents, 5, 3.0)
    plain = by_ours(load_backbone(str(tiny_folders["sd2"]), "cpu"), scheduler, latents, 5, 3.0)
    found = by_ours(backbone, scheduler, latents, 5, 3.0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert not torch.allclose(found, plain, atol=1e-3)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_schedule_without_signal_at_its_last_level_is_honoured(tiny_folders, tmp_path, scheduler, spacing):
    """v-prediction with rescale_betas_zero_snr, as fine-tunes of Stable Diffusion 2.1 have it."""
    folder = edited(tiny_folders["sd2"], tmp_path, rescale_betas_zero_snr=True, prediction_type="v_prediction")
    backbone, latents = load_backbone(str(folder), "cpu"), first_latents(1)
    check_sampling(backbone.facts, SamplingConfig(scheduler=scheduler, spacing=spacing, steps=4))
    assert float(backbone.alpha_bar[999]) == 0
    expected = by_diffusers(backbone, scheduler, latents, 4, 3.0, **spaced(scheduler, spacing))
    found = by_ours(backbone, scheduler, latents, 4, 3.0, spacing)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_dividing_by_no_signal_is_refused_before_sampling(tiny_folders, tmp_path):
    facts = check_backbone(str(edited(tiny_folders["sd1"], tmp_path, rescale_betas_zero_snr=True)))
    assert facts.prediction_type == "epsilon"
    for spacing in ("trailing", "linspace"):
        with pytest.raises(UserError, match=r"sampling\.spacing.*rescale_betas_zero_snr"):
            check_sampling(facts, SamplingConfig(spacing=spacing, steps=4))
    with pytest.raises(UserError, match=r"sampling\.spacing"):
        check_sampling(facts, SamplingConfig(steps=500))
    check_sampling(facts, SamplingConfig(steps=40))


@pytest.mark.parametrize("guidance", [0, 3.0])
@pytest.mark.parametrize("scheduler, spacing", [("ddim", "trailing"), ("dpm++", None), ("euler", None)])
def test_attention_is_recorded_alike(folder, scheduler, spacing, guidance):
    """Capture changes no image, sees every prediction once, and takes the prompts' half where there are two."""
    backbone = load_backbone(str(folder), "cpu")
    latents, steps = first_latents(), 4
    config = SamplingConfig(scheduler=scheduler, spacing=spacing, steps=steps, guidance=guidance, keep_pooled=True)
    batches: list[int] = []
    hook = backbone.unet.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    samples = sample(backbone, PROMPTS, CATEGORIES, [70, 71], config, CUT)
    hook.remove()
    assert batches == [4 if guidance > 1 else 2] * steps
    expected = by_ours(backbone, scheduler, latents, steps, guidance, spacing)
    for i, found in enumerate(samples):
        assert np.abs(found.image / 255 - decode(backbone, expected[i])).max() <= 0.5 / 255 + 1e-5
        layers = np.asarray(found.layer_maps, np.float64)
        assert (layers >= 0).all() and (layers.mean(axis=(1, 2)) > 0).all() and (layers <= 1).all()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_recorded_maps_are_those_of_the_layers_own_queries_and_keys(backbone, scheduler):
    """The mean over the steps of softmax(q k^T) at the category's token, by hooks on an unrecorded run."""
    steps, seen, hooks = 3, {}, []
    layer = next(name for name, _ in backbone.unet.named_modules() if name.endswith("attn2"))
    module = backbone.unet.get_submodule(layer)
    for part in ("to_q", "to_k"):
        store = seen.setdefault(part, [])
        keep = lambda m, i, o, store=store: store.append(o[1:].double())  # noqa: E731  the prompt's half
        hooks.append(getattr(module, part).register_forward_hook(keep))
    text, empty = backbone.encode_text(PROMPTS[:1]), backbone.unconditional()
    denoise(backbone, first_latents(1), text, empty, steps, 3.0, scheduler=scheduler, spacing="trailing")
    for hook in hooks:
        hook.remove()
    maps = [
        (q.unflatten(2, (module.heads, -1)).transpose(1, 2) * module.scale
         @ k.unflatten(2, (module.heads, -1)).permute(0, 2, 3, 1)).softmax(3).mean(1)[0, :, 2]  # the token of `cat`
        for q, k in zip(seen["to_q"], seen["to_k"], strict=True)
    ]  # fmt: skip
    config = SamplingConfig(scheduler=scheduler, spacing="trailing", steps=steps, guidance=3.0)
    with recorded(backbone, config) as record:
        pass
    np.testing.assert_allclose(record.cross[layer][0] / steps, torch.stack(maps).mean(0), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("scheduler", ["dpm++", "euler"])
def test_a_sample_is_the_same_alone_and_in_a_batch(backbone, scheduler):
    """Up to 1e-4 of the latents' scale: kernels may add in another order."""
    latents = first_latents(2)
    both = by_ours(backbone, scheduler, latents, 5, 3.0)
    alone = by_ours(backbone, scheduler, latents[:1], 5, 3.0)
    torch.testing.assert_close(alone[0], both[0], rtol=0, atol=1e-4 * float(both.abs().max()))
    assert torch.equal(both, by_ours(backbone, scheduler, latents, 5, 3.0))  # no noise of its own, no state left


def test_a_family_that_lists_its_betas_is_stepped_alike(tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, toy_family.PIPELINE, toy_family)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "ToyPipeline"}))
    (tmp_path / "toy.json").write_text(json.dumps({"side": 8}))
    toy, latents = load_backbone(str(tmp_path), "cpu"), noise(3, (3, 8, 8))[None]
    ends = [by_ours(toy, scheduler, latents, 100, 1.0, "trailing") for scheduler in SCHEDULERS]
    for end in ends[1:]:  # all solve the same equation, whose solution 100 steps come near
        assert float((end - ends[0]).norm() / ends[0].norm()) < 0.1


@pytest.mark.parametrize("steps", [1, 3, 7, 61, 103, 500])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_there_are_as_many_descending_levels_as_steps(tiny_folders, scheduler, spacing, steps):
    """61 and 103 trailing steps have one level more, -1, in diffusers."""
    facts = check_backbone(str(tiny_folders["sd1"]))
    levels = OfDiffusers(facts, steps, scheduler, spacing).timesteps
    assert len(levels) == steps and min(levels) >= 0 and max(levels) <= 999
    assert levels == sorted(set(levels), reverse=True)
    check_sampling(facts, SamplingConfig(scheduler=scheduler, spacing=spacing, steps=steps))


def test_the_default_is_the_papers(backbone):
    """Bit for bit what the loop over `timesteps` and `ddim_step` gives, whatever the folder's scheduler says."""
    latents, text = first_latents(1), backbone.encode_text(PROMPTS[:1])
    expected = latents
    with torch.no_grad():
        for t, target in itertools.pairwise([*timesteps(4), 0]):
            expected = ddim_step(backbone, expected, backbone.predict(expected, t, text), t, target)
    for spacing in (None, "leading"):
        assert torch.equal(by_ours(backbone, "ddim", latents, 4, 1.0, spacing), expected)
