"""What is counted is what is there: weights, their gradients and Adam's means by their sizes, and no values."""

from functools import partial

import pytest
import torch

from benchmarks.training.memory import counted, predicted, shapes_of, trained
from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.registry import segmenter_of


def of_size(folder, side):
    values = {"backbone": str(folder), "size": side, "batch_size": 1, "run": {"device": "cpu"}}
    return segmenter_of(DiffDisConfig.model_validate(values))


def test_what_is_counted_is_the_size_of_what_is_there(tiny_folders):
    own = of_size(tiny_folders["sd2"], 64)
    trainable = sum(weight.numel() for weight in own.network.parameters())
    sizes = [4 * sum(b.numel() if b.is_floating_point() else 2 * b.numel() for b in own.network.buffers())]
    sizes += [4 * trainable, 2 * sum(weight.numel() for weight in own.vae.parameters())]
    with shapes_of(own):
        optimiser = torch.optim.AdamW(own.network.parameters())
        trained(own, optimiser, 1)
        in_all, weights, gradients, means, rest = counted(own, [optimiser], lambda: trained(own, optimiser, 1))
    assert weights == pytest.approx(sum(sizes) / 1e9, rel=1e-3)
    assert means == pytest.approx(8 * trainable / 1e9, rel=0.01)
    assert gradients <= 4 * trainable / 1e9 * 1.001
    assert in_all == pytest.approx(weights + gradients + means + rest) and rest > 0


def test_four_times_the_pixels_take_about_four_times_the_memory_beside_the_weights(tiny_folders):
    found = []
    for side in (256, 512):
        own = of_size(tiny_folders["sd2"], side)
        with shapes_of(own):
            found.append(counted(own, [], partial(predicted, own)))
    assert found[0][1] == found[1][1] and 3 < found[1][4] / found[0][4] < 4.5
