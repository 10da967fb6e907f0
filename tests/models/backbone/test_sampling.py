"""Sampling: noise from its seed alone, the schedule, capture that changes nothing, batches, and faults."""

import logging

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from benchmarks.fullsize import PUBLISHED, full_size
from models.backbone.ddim import noise, timesteps
from models.backbone.facts import check_backbone
from models.backbone.load import load_backbone
from models.backbone.sampling import decode, denoise, sample, sample_batched, sample_from
from models.backbone.stable_diffusion import load_scheduler
from models.config.cut import CutConfig
from models.config.sampling import SamplingConfig
from models.cut.attentioncut import cut
from models.cut.seeds import class_and_refined, seed_cells

SAMPLING = SamplingConfig(steps=4, guidance=3.0, top_k=2)
CUT = CutConfig()
PROMPTS, CATEGORIES = ["a cat", "one red box", "a flower", "the big cat"] * 2, ["cat", "red box", "flower", "cat"] * 2


def iou(a, b):
    return (a & b).sum() / (a | b).sum() if (a | b).any() else 1.0


def test_noise_follows_from_the_samples_seed_alone():
    first = noise(5, (4, 16, 16))
    torch.rand(3)
    assert torch.equal(first, noise(5, (4, 16, 16))) and first.dtype == torch.float32
    assert not torch.equal(first, noise(6, (4, 16, 16)))
    many = torch.cat([noise(seed, (4, 16, 16)) for seed in range(50)])
    assert abs(float(many.mean())) < 0.02 and abs(float(many.std()) - 1) < 0.02


def test_the_schedule_is_compvis_uniform():
    assert timesteps(40) == list(range(976, 0, -25))
    assert timesteps(1) == [1] and len(timesteps(1000)) == 1000 and timesteps(1000)[0] == 999


def test_the_loop_equals_diffusers_ddim(backbone):
    """DDIMScheduler with leading spacing and offset 1 is the same sampler, for both kinds of prediction."""
    text, empty = backbone.encode_text(["a cat"]), backbone.encode_text([""])
    latents = noise(0, (4, 16, 16))[None]
    other = DDIMScheduler.from_config(
        load_scheduler(backbone.facts).config, prediction_type=backbone.facts.prediction_type,
        timestep_spacing="leading", steps_offset=1, set_alpha_to_one=False, clip_sample=False,
    )  # fmt: skip
    other.set_timesteps(5)
    expected = latents
    for t in other.timesteps:
        with torch.no_grad():
            plain, guided = (backbone.predict(expected, t, each) for each in (empty, text))
        expected = other.step(plain + 3.0 * (guided - plain), t, expected).prev_sample
    torch.testing.assert_close(denoise(backbone, latents, text, empty, 5, 3.0), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["full", "evidence"])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_capture_does_not_change_the_image(backbone, mode, guidance):
    text, empty = backbone.encode_text(PROMPTS[:2]), backbone.unconditional().repeated(2)
    latents = torch.stack([noise(10 + i, (4, 16, 16)) for i in range(2)])
    uncaptured = denoise(backbone, latents, text, empty if guidance > 1 else None, 4, guidance)
    captured = SAMPLING.model_copy(update={"capture": mode, "guidance": guidance})
    for i, s in enumerate(sample(backbone, PROMPTS[:2], CATEGORIES[:2], [10, 11], captured, CUT)):
        assert s.image.dtype == np.uint8 and s.image.shape == (128, 128, 3) and s.finite
        assert np.abs(s.image / 255 - decode(backbone, uncaptured[i])).max() <= 0.5 / 255 + 1e-5


def test_a_sample_is_the_same_alone_and_in_a_batch_of_8(backbone):
    text = backbone.encode_text(PROMPTS)
    empty = backbone.unconditional().repeated(8)
    latents = torch.stack([noise(20 + i, (4, 16, 16)) for i in range(8)])
    batch = denoise(backbone, latents, text, empty, 4, 3.0)
    together = sample(backbone, PROMPTS, CATEGORIES, list(range(20, 28)), SAMPLING, CUT)
    for i in (1, 6):
        own = backbone.encode_text(PROMPTS[i : i + 1])
        alone = denoise(backbone, latents[i : i + 1], own, backbone.unconditional(), 4, 3.0)
        assert float((alone[0] - batch[i]).abs().max()) <= 1e-4
        (single,) = sample(backbone, PROMPTS[i : i + 1], CATEGORIES[i : i + 1], [20 + i], SAMPLING, CUT)
        assert np.abs(single.image.astype(int) - together[i].image).max() <= 1
        np.testing.assert_allclose(single.evidence.class_map, together[i].evidence.class_map, rtol=1e-3)
        assert (
            iou(cut(single.image, single.evidence, CUT).mask, cut(together[i].image, together[i].evidence, CUT).mask)
            >= 0.999
        )


def test_full_and_evidence_masks_agree(backbone):
    runs = [
        sample(backbone, PROMPTS, CATEGORIES, list(range(8)), SAMPLING.model_copy(update={"capture": mode}), CUT)
        for mode in ("full", "evidence")
    ]
    ious = [
        iou(cut(a.image, a.evidence, CUT).mask, cut(b.image, b.evidence, CUT).mask) for a, b in zip(*runs, strict=True)
    ]
    assert np.mean(ious) >= 0.98


def test_images_need_not_be_square(backbone):
    wide = SAMPLING.model_copy(update={"height": 128, "width": 192, "keep_pooled": True})
    (s,) = sample(backbone, ["a flower"], ["flower"], [0], wide, CUT)
    grid, num_cross = backbone.facts.attention_grid((16, 24)), backbone.facts.num_cross
    assert s.image.shape == (128, 192, 3) and s.evidence.class_map.shape == s.evidence.refined.shape == grid
    assert s.evidence.affinities.shape == (4, *grid) and (s.evidence.affinities >= 0).all()
    assert s.pooled.shape == (grid[0] * grid[1], len(seed_cells(*grid))) and s.layer_maps.shape == (num_cross, *grid)
    assert all(getattr(s.evidence, f).dtype == np.float32 for f in ("class_map", "refined", "affinities"))


def test_bad_sizes_and_absent_categories_are_refused_before_sampling(backbone):
    def fail(*_):
        raise AssertionError("sampling began")

    hook = backbone.unet.register_forward_pre_hook(fail)
    try:
        with pytest.raises(ValueError, match="'dog'.*'a cat'"):
            sample(backbone, ["a box", "a cat"], ["box", "dog"], [0, 1], SAMPLING, CUT)
        with pytest.raises(ValueError, match=r"sampling\.height"):
            sample(backbone, ["a cat"], ["cat"], [0], SAMPLING.model_copy(update={"height": 100}), CUT)
    finally:
        hook.remove()


def test_kept_attention_gives_the_evidence_again_and_answers_for_other_seeds(backbone):
    """What a recut computes from the stored float16 arrays is bit by bit what sampling under its config gives."""
    kept = SAMPLING.model_copy(update={"keep_pooled": True})
    other, narrow = CutConfig(tau=0.5, num_seeds=5), kept.model_copy(update={"top_k": 1})
    for sampling, config in ((kept, CUT), (narrow, other)):
        (built,) = sample(backbone, ["a cat"], ["cat"], [3], sampling, config)
        (first,) = sample(backbone, ["a cat"], ["cat"], [3], kept, CUT)
        class_map, refined = class_and_refined(first.layer_maps, first.pooled, sampling.top_k, config)
        assert np.array_equal(class_map, built.evidence.class_map) and np.array_equal(refined, built.evidence.refined)
        (plain,) = sample(backbone, ["a cat"], ["cat"], [3], sampling.model_copy(update={"keep_pooled": False}), config)
        np.testing.assert_allclose(class_map, plain.evidence.class_map, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_sample_gone_bad_leaves_the_others_alone(backbone, bad):
    latents = torch.stack([noise(30 + i, (4, 16, 16)) for i in range(3)])
    config = SAMPLING.model_copy(update={"keep_pooled": True})
    good = sample_from(backbone, latents, PROMPTS[:3], CATEGORIES[:3], config, CUT)
    latents[1, 0, 5, 5] = bad
    mixed = sample_from(backbone, latents, PROMPTS[:3], CATEGORIES[:3], config, CUT)
    assert [s.finite for s in mixed] == [True, False, True]
    assert not mixed[1].image.any() and not mixed[1].evidence.class_map.any()
    assert mixed[1].pooled.shape == mixed[0].pooled.shape and mixed[1].layer_maps.shape == mixed[0].layer_maps.shape
    for i in (0, 2):
        assert np.array_equal(mixed[i].image, good[i].image)
        np.testing.assert_allclose(mixed[i].evidence.refined, good[i].evidence.refined, rtol=1e-5)


def test_a_batch_that_does_not_fit_is_halved_and_said(backbone, caplog):
    def full(_, args):
        if len(args[0]) > 4:  # 2 samples with guidance
            raise torch.OutOfMemoryError("on purpose")

    steps = []
    hook = backbone.unet.register_forward_pre_hook(full)
    try:
        with caplog.at_level(logging.WARNING):
            got = sample_batched(
                backbone, PROMPTS[:5], CATEGORIES[:5], list(range(5)), SAMPLING, CUT, 8, lambda *s: steps.append(s)
            )
    finally:
        hook.remove()
    assert "out of memory with 5 samples" in caplog.text
    assert steps[-1] == (20, 20) and [d for d, _ in steps] == sorted(d for d, _ in steps)
    expected = sample(backbone, PROMPTS[:5], CATEGORIES[:5], list(range(5)), SAMPLING, CUT)
    assert all(np.abs(a.image.astype(int) - b.image).max() <= 1 for a, b in zip(got, expected, strict=True))


def test_one_sample_that_does_not_fit_is_an_error(backbone):
    def full(*_):
        raise torch.OutOfMemoryError("on purpose")

    hook = backbone.unet.register_forward_pre_hook(full)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            sample_batched(backbone, PROMPTS[:2], CATEGORIES[:2], [0, 1], SAMPLING, CUT, 2)
    finally:
        hook.remove()


def test_half_precision_samples(tiny_folders):
    backbone = load_backbone(str(tiny_folders["sd1"]), "cpu", "bfloat16")
    (s,) = sample(backbone, ["a cat"], ["cat"], [0], SAMPLING, CUT)
    assert s.finite and s.evidence.refined.dtype == np.float32 and backbone.unet.dtype == torch.bfloat16


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PUBLISHED))
def test_full_size(name, tmp_path):
    backbone = load_backbone(str(full_size(name, tmp_path)), "cpu", "float32")
    side = PUBLISHED[name]["unet"]["sample_size"]
    assert check_backbone(str(tmp_path)).image_size == (side * 8, side * 8)
    config = SamplingConfig(steps=2, keep_pooled=True)
    (s,) = sample(backbone, ["a red box"], ["red box"], [0], config, CUT)
    assert s.finite and s.image.shape == (side * 8, side * 8, 3)
    assert s.layer_maps.shape == (16, side, side) and s.evidence.affinities.shape == (4, side, side)
    assert s.pooled.shape == (side**2, side**2 // 4) and (s.evidence.class_map > 0).all()
