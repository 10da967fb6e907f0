"""What SOD-diffusion and DiffDIS share, at the precision of a GPU: a float16 VAE under bfloat16 autocast."""

import numpy as np
import pytest
import torch

from models.segmenters import latent, segmenter_of
from models.trainconfig import SEGMENTERS
from tests.models.segmenters.test_baselines import squares

DTYPES = ("float16", "float32")
SMALL = {"swin": "pocket", "weights": "random", "freeze_swin": False, "steps": 2, "ensemble": 2}
KINDS = {
    "diffdis": ("diffdis", {"tta": True}),
    "diffdis-two-steps": ("diffdis", {"steps": "2/2"}),
    "paper": ("sod-diffusion", SMALL),
    "released": ("sod-diffusion", SMALL | {"preset": "released", "context_projection": "conv1x1"}),
    "no-afim": ("sod-diffusion", SMALL | {"context_projection": "none"}),
}


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
