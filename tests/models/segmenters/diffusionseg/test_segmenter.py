"""The DiffusionSeg decoder: its shapes, its losses, what it can learn, and prediction at a photo's own size."""

import numpy as np
import pytest
import torch

from models.metrics import iou
from models.pocket.scenes import render
from models.segmenters.decoder import Decoder, at_own_size, dice_loss
from models.segmenters.diffusionseg.config import DiffusionSegConfig
from models.segmenters.registry import segmenter_of
from models.training.loop import Run, train
from models.training.schedule import Training

SHAPES = [(6, 16, 24), (8, 8, 12), (10, 4, 6)]


def features(batch: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, *shape, generator=generator) for shape in SHAPES]


@pytest.mark.parametrize("projection", [None, 5])
def test_three_layers_and_three_doublings_lead_to_pixels(projection):
    decoder = Decoder(SHAPES, (12, 7), projection)
    assert decoder(features(2)).shape == (2, 128, 192)
    convolutions = [layer for layer in decoder.layers if isinstance(layer, torch.nn.Conv2d)]
    assert [c.in_channels for c in convolutions] == [projection * 3 if projection else 24, 12, 7]
    assert sum(isinstance(layer, torch.nn.Upsample) for layer in decoder.layers) == 3


def test_the_order_of_samples_in_a_batch_does_not_matter():
    decoder = Decoder(SHAPES, (12, 7), None).eval()
    whole, turned = decoder(features(3)), decoder([layer.flip(0) for layer in features(3)])
    torch.testing.assert_close(whole, turned.flip(0))


def test_dice_is_0_for_the_truth_and_near_1_for_its_opposite():
    truth = torch.zeros(2, 32, 32)
    truth[0, 4:20, 4:20] = 1
    sure = 40 * (2 * truth - 1)
    assert dice_loss(sure, truth) < 1e-5
    assert dice_loss(-sure, truth) > 0.99


def test_smoothing_finds_the_outline_that_coarse_cells_lost():
    scene = render(5, 0)
    cells = scene.mask.reshape(16, 8, 16, 8).mean((1, 3)).astype(np.float32)
    coarse, smooth = (at_own_size(cells, scene.image, bilateral) for bilateral in (False, True))
    assert smooth.shape == coarse.shape == scene.mask.shape
    assert smooth.min() >= 0 and smooth.max() <= 1
    assert iou(smooth, scene.mask) > iou(coarse, scene.mask) + 0.02


@pytest.fixture(scope="module")
def segmenter(tiny_folders):
    config = DiffusionSegConfig.model_validate(
        {
            "backbone": str(tiny_folders["sd1"]),
            "prior": {"clip": "none"},
            "steps": 1,
            "widths": (8, 8),
            "run": {"device": "cpu", "batch_size": 2},
        }
    )
    return segmenter_of(config)


def discs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Bright discs on dark grounds, (B, 128, 128, 3) uint8, and their masks."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:128, :128]
    masks = np.stack(
        [(y - cy) ** 2 + (x - cx) ** 2 < r**2 for cy, cx, r in rng.uniform((40, 40, 20), (88, 88, 36), (count, 3))]
    )
    return np.where(masks[..., None], 230, 30).repeat(3, axis=3).astype(np.uint8), masks


@pytest.mark.parametrize("kind", ["bce", "bce+dice"])
def test_it_learns_masks_that_the_features_show(segmenter, kind):
    images, masks = discs(6)
    own = segmenter_of(segmenter.config.model_copy(update={"loss": kind}))
    batch = {"features": own.features(images, [""] * 6), "mask": torch.from_numpy(masks)}
    training = Training(60, 6, 1e-2, weight_decay=0, warmup_steps=0, lr_schedule="constant", ema=None, save_every=1000)
    run = Run(own.network, training, seed=0)
    train(run, lambda start: iter([batch] * (60 - start)), own.loss, lambda state, better: None)
    found = own.soft_masks(batch) > 0.5
    iou = (found & masks).sum((1, 2)) / (found | masks).sum((1, 2))
    assert iou.mean() > 0.8


def test_a_batch_without_features_is_the_same_as_one_with(segmenter):
    images, masks = discs(2)
    bare = {"image": torch.from_numpy(images), "category": ["cat", "dog"], "mask": torch.from_numpy(masks)}
    made = {"features": segmenter.features(images, ["cat", "dog"]), "mask": torch.from_numpy(masks)}
    assert torch.equal(segmenter.loss(segmenter.network, bare), segmenter.loss(segmenter.network, made))
    np.testing.assert_array_equal(segmenter.soft_masks(bare), segmenter.soft_masks(made))


def test_photos_of_any_size_get_masks_of_their_own_whatever_their_company(segmenter):
    rng = np.random.default_rng(1)
    photos = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((128, 128), (50, 301), (1, 1), (97, 128))]
    together = segmenter.predict(photos)
    for photo, soft in zip(photos, together, strict=True):
        assert soft.shape == photo.shape[:2] and soft.dtype == np.float32 and 0 <= soft.min() <= soft.max() <= 1
        np.testing.assert_allclose(segmenter.predict([photo])[0], soft, atol=2e-3)


def test_without_a_prior_the_class_does_not_count(segmenter):
    images, _ = discs(1)
    named = segmenter_of(
        segmenter.config.model_copy(update={"prior": segmenter.config.prior.model_copy(update={"clip": "RN50:openai"})})
    )
    for layer, other in zip(segmenter.features(images, ["cat"]), segmenter.features(images, [""]), strict=True):
        assert torch.equal(layer, other)
    with_class, without = named.features(images, ["cat"]), named.features(images, [""])
    assert any(not torch.equal(a, b) for a, b in zip(with_class, without, strict=True))


def test_the_digest_is_of_the_backbone_and_not_of_the_decoder(segmenter):
    first, same = segmenter.weights_digest(), segmenter_of(segmenter.config.model_copy(update={"seed": 1}))
    assert same.weights_digest() == first
