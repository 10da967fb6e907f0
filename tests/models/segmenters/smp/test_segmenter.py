"""UNet and DeepLabV3: masks at each image's size, mirrored training that stays reproducible, what they can learn."""

import numpy as np
import pytest
import torch

from models.segmenters.registry import segmenter_of
from models.segmenters.smp.config import DeepLabV3Config, UNetConfig
from models.training.loop import Run, train
from models.training.schedule import Training

TINY = {"encoder": "resnet18", "size": 64, "run": {"device": "cpu", "batch_size": 2}}


def tiny(kind=UNetConfig, **choices):
    return segmenter_of(kind.model_validate(TINY | choices))


def squares(count: int, size: tuple[int, int] = (64, 64)) -> dict[str, torch.Tensor]:
    """Bright rectangles, left of the middle, on a dark ground."""
    rng = np.random.default_rng(3)
    masks = np.zeros((count, *size), bool)
    for mask in masks:
        y, x = rng.integers(4, 20, 2)
        mask[y : y + size[0] // 2, x : x + size[1] // 3] = True
    images = np.where(masks[..., None], 220, 40).repeat(3, axis=3).astype(np.uint8)
    return {"image": torch.from_numpy(images), "mask": torch.from_numpy(masks), "category": [""] * count}


@pytest.mark.parametrize("kind", [UNetConfig, DeepLabV3Config])
def test_photos_of_any_size_get_masks_of_their_own_whatever_their_company(kind):
    segmenter, rng = tiny(kind), np.random.default_rng(1)
    photos = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((64, 64), (50, 301), (1, 1))]
    for photo, soft in zip(photos, segmenter.predict(photos), strict=True):
        assert soft.shape == photo.shape[:2] and soft.dtype == np.float32 and 0 <= soft.min() <= soft.max() <= 1
        np.testing.assert_allclose(segmenter.predict([photo])[0], soft, atol=2e-3)


def test_it_learns_what_is_to_be_seen():
    batch, own = squares(4), tiny()
    training = Training(40, 4, 3e-3, weight_decay=0, warmup_steps=0, lr_schedule="constant", ema=None, save_every=1000)
    train(Run(own.network, training, seed=0), lambda start: iter([batch] * (40 - start)), own.loss, lambda *_: None)
    masks = batch["mask"].numpy()
    found = own.soft_masks(batch) > 0.5
    assert ((found & masks).sum((1, 2)) / (found | masks).sum((1, 2))).mean() > 0.9
    assert not own.network.training


def test_the_loss_follows_from_the_seed_and_mirrors_image_and_mask_alike():
    """A network that reads the mask off the image has no loss, whichever way both are turned."""
    own, batch = tiny(), squares(6)

    def reader(images: torch.Tensor) -> torch.Tensor:
        return torch.where(images[:, :1] > 0, 40.0, -40.0)

    for seed in range(3):
        torch.manual_seed(seed)
        assert own.loss(reader, batch) < 1e-6
    seen: list[torch.Tensor] = []

    def notes(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return images[:, :1]

    for each in (own, own, tiny(flips=False)):
        torch.manual_seed(0)
        each.loss(notes, batch)
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])
    for one, plain in zip(seen[0], seen[2], strict=True):
        assert torch.equal(one, plain) or torch.equal(one, plain.flip(2))


def test_images_of_a_dataset_come_to_the_networks_size_and_masks_back():
    own, batch = tiny(), squares(2, (48, 80))
    assert own.soft_masks(batch).shape == (2, 48, 80)
    assert own._input(list(batch["image"].numpy())).shape == (2, 3, 64, 64)
    assert torch.isfinite(own.loss(own.network, batch))


def test_first_weights_are_random_and_follow_from_the_seed():
    one, same, other = (tiny(seed=seed).network.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert "random" in UNetConfig().label() and UNetConfig().model_dump()["encoder_weights"] == "random"
