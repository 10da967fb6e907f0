"""Features: eq. 8 against a slow reference that keeps every step, and shapes as the UNet has them."""

import itertools

import numpy as np
import pytest
import torch

from models.backbone.ddim import noise, timesteps
from models.backbone.features import feature_shapes, features_of, record_features
from models.backbone.files import POCKET_FOLDER
from models.backbone.inversion import invert
from models.backbone.sampling import ddim_step, denoise
from models.backbone.unet.watched import feature_modules

PROMPTS = ["a cat", ""]


def pictures() -> np.ndarray:
    y, x = np.mgrid[:128, :128] / 128
    return (255 * np.stack([np.stack([x, y, x * y], -1), np.stack([1 - x, y, x], -1)])).astype(np.uint8)


def outputs(backbone, names, latents, t, text):
    """Every named layer's output in one call of the UNet, and the UNet's own."""
    kept, hooks = {}, []
    for name in names:
        module = backbone.unet.get_submodule(name)
        hooks.append(module.register_forward_hook(lambda m, a, out, name=name: kept.__setitem__(name, out[0].clone())))
    found = backbone.predict(latents, t, text)
    for hook in hooks:
        hook.remove()
    return [kept[name] for name in names], found


@pytest.mark.parametrize("blocks", ["encoder", "decoder"])
def test_the_mean_over_the_reverse_pass_is_eq_8(backbone, blocks):
    group, layer, numbers = {
        ("StableDiffusionPipeline", "encoder"): ("down_blocks", 0, (0, 1, 2)),
        ("StableDiffusionPipeline", "decoder"): ("up_blocks", 1, (1, 2, 3)),
        ("StableDiffusionXLPipeline", "encoder"): ("down_blocks", 0, (1, 2)),
        ("StableDiffusionXLPipeline", "decoder"): ("up_blocks", 1, (0, 1)),
    }[backbone.facts.family, blocks]
    names = [f"{group}.{i}.attentions.{layer}" for i in numbers]
    found = features_of(backbone, pictures(), PROMPTS, 4, blocks)
    latents, text = invert(backbone, pictures(), PROMPTS, 4), backbone.encode_text(PROMPTS)
    kept = []
    levels = [*timesteps(4), 0]
    with torch.no_grad():
        for t, target in itertools.pairwise(levels):
            layers, output = outputs(backbone, names, latents, t, text)
            kept.append(layers)
            latents = ddim_step(backbone, latents, output, t, target)
    assert len(found) == len(names)
    for i, layer in enumerate(found):
        torch.testing.assert_close(layer, torch.stack([step[i].double() for step in kept]).mean(0).float())


@pytest.mark.parametrize("blocks", ["encoder", "decoder"])
def test_shapes_are_known_without_running(backbone, blocks):
    found = features_of(backbone, pictures(), PROMPTS, 1, blocks)
    assert [tuple(layer.shape[1:]) for layer in found] == feature_shapes(backbone, (16, 16), blocks)
    wide = np.zeros((1, 64, 192, 3), np.uint8)
    found = features_of(backbone, wide, [""], 1, blocks)
    assert [tuple(layer.shape[1:]) for layer in found] == feature_shapes(backbone, (8, 24), blocks)


def test_only_the_conditional_half_is_recorded_and_the_image_does_not_change(backbone):
    latents = torch.stack([noise(i, (4, 16, 16)) for i in range(2)])
    text, empty = backbone.encode_text(["a cat", "red box"]), backbone.encode_text(["", ""])
    plain = denoise(backbone, latents, text, empty, 3, 2.0)
    with record_features(backbone, 2) as record:
        recorded = denoise(backbone, latents, text, empty, 3, 2.0)
    assert torch.equal(plain, recorded) and set(record.steps.values()) == {3}
    halves = []
    with record_features(backbone, 4) as whole:
        denoise(backbone, latents, text, empty, 3, 2.0)
    for both, conditional in zip(whole.mean(), record.mean(), strict=True):
        halves.append(not torch.allclose(both[:2], both[2:]))
        assert torch.equal(both[2:], conditional)
    assert any(halves)


def test_hooks_go_when_the_context_breaks(backbone):
    with pytest.raises(RuntimeError), record_features(backbone, 1):
        raise RuntimeError
    assert not any(layer._forward_hooks for _, layer in feature_modules(backbone.unet, "encoder"))


def test_the_prompt_counts_and_progress_is_told(backbone):
    said: list[tuple[int, int]] = []
    named = features_of(backbone, pictures()[:1], ["a cat"], 2, on_step=lambda *s: said.append(s))
    empty = features_of(backbone, pictures()[:1], [""], 2)
    assert any(not torch.allclose(a, b) for a, b in zip(named, empty, strict=True))
    assert said == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_pocket_has_the_papers_six_layers():
    """Two per resolution, as in Stable Diffusion (read from the json file: no weights are loaded)."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(POCKET_FOLDER / "unet"))
    for blocks in ("encoder", "decoder"):
        layers = [layer for layer, _ in feature_modules(unet, blocks)]
        shapes = sorted((layer.halvings, layer.channels) for layer in layers)
        assert shapes == [(0, 64)] * 2 + [(1, 96)] * 2 + [(2, 128)] * 2
