"""What SOD-diffusion and DiffDIS share: pixels, masks, and a GPU's precision, a float16 VAE under bfloat16 autocast."""

import numpy as np
import pytest
import torch

from models.segmenters import latent
from models.segmenters.registry import SEGMENTERS, segmenter_of
from tests.models.segmenters.smp.test_segmenter import squares

DTYPES = ("float16", "float32")
SMALL = {"swin": "pocket", "weights": "random", "freeze_swin": False, "steps": 2, "ensemble": 2}
KINDS = {
    "diffdis": ("diffdis", {"tta": True}),
    "diffdis-two-steps": ("diffdis", {"steps": "2/2"}),
    "paper": ("sod-diffusion", SMALL),
    "released": ("sod-diffusion", SMALL | {"preset": "released", "context_projection": "conv1x1"}),
    "no-afim": ("sod-diffusion", SMALL | {"context_projection": "none"}),
}


@pytest.fixture(scope="module")
def own(tiny_folders):
    values = {"backbone": str(tiny_folders["sd2"]), "size": 64, "run": {"device": "cpu"}}
    return segmenter_of(SEGMENTERS["diffdis"](**values))


def test_pixels_lie_from_minus_one_to_one_and_masks_are_three_equal_channels(own):
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0], image[..., 1] = 255, 51
    (pixels,) = own.pixels([image])
    assert [channel.unique().tolist() for channel in pixels] == [[1.0], [pytest.approx(-0.6)], [-1.0]]
    mask = np.arange(64) < 24
    (found,) = own.mask_pixels(np.broadcast_to(mask, (1, 64, 64)))
    assert torch.equal(found, torch.from_numpy(mask).float().mul(2).sub(1).expand(3, 64, 64))


def test_a_decoded_mask_is_the_mean_of_its_channels_from_0_to_1(own, monkeypatch):
    cells = torch.tensor([[1.0, 0.5, 0.0], [-1.0, 1.0, -1.0], [2.0, 2.0, 2.0], [-3.0, -1.0, -1.0]])
    monkeypatch.setattr(latent, "decoded", lambda vae, latents: cells.T[None, :, :, None])
    found = own.decoded_masks(torch.zeros(1, 4, 1, 1))[0, :, 0]
    torch.testing.assert_close(found, torch.tensor([0.75, 1 / 3, 1.0, 0.0]))


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Predictions autocast to bfloat16 whether this processor computes in it or not."""
    monkeypatch.setattr(latent, "mixed_precision", lambda _: torch.autocast("cpu", torch.bfloat16))


@pytest.mark.parametrize("kind", KINDS)
def test_a_gpus_precision_trains_all_and_predicts_the_masks_of_float32(as_on_a_gpu, tiny_folders, kind):
    name, choices = KINDS[kind]
    values = {"backbone": str(tiny_folders["sd2"]), "size": 64, "batch_size": 2} | choices
    half, exact = (segmenter_of(SEGMENTERS[name](**values, run={"device": "cpu", "dtype": d})) for d in DTYPES)
    batch = squares(2)
    with torch.autocast("cpu", torch.bfloat16):
        half.loss(half.network, batch).backward()
    assert half.vae.dtype is torch.float16
    assert all(weight.grad.isfinite().all() for weight in half.network.parameters())
    half.network.load_state_dict(exact.network.state_dict())  # a batch normalisation has taken note of the batch
    images = list(batch["image"].numpy())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent, "mixed_precision", lambda _: torch.autocast("cpu", enabled=False))
        expected = exact.predict(images)
    assert max(np.abs(a - b).mean() for a, b in zip(half.predict(images), expected, strict=True)) < 0.05
