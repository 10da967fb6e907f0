"""The memory of DiffDIS at 1024x1024 with Stable Diffusion 2.1's size, counted without a GPU.

Every tensor is a shape without values (torch's FakeTensorMode). The segmenter's code runs on these in the precision of
a GPU, and torch's MemTracker adds up the tensors alive at once. The memory of a GPU's libraries and their workspaces
is not counted; on a GPU, `maskmill bench latency` measures all of it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from torch.nn import functional as F

from benchmarks.fullsize import full_size
from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.diffdis.segmenter import Segmenter
from models.segmenters.registry import segmenter_of

SIDE, BATCHES, BAR = 1024, (1, 4), 12.0  # pixels; images of a step of training, the paper's last; GB of a prediction
COLUMNS = ["what", "GB at most", "weights and buffers", "gradients", "Adam's", "all else"]


def run() -> dict[str, Any]:
    """Count a prediction and a step of training; returns the table."""
    with TemporaryDirectory() as folder:
        values = {"backbone": str(full_size("sd21", Path(folder))), "size": SIDE, "batch_size": 1}
        segmenter: Any = segmenter_of(DiffDisConfig.model_validate(values | {"run": {"device": "cpu"}}))
    with shapes_of(segmenter):
        rows: list[list[Any]] = [["prediction, 1 image", *counted(segmenter, [], partial(predicted, segmenter))]]
        optimiser = torch.optim.AdamW(segmenter.network.parameters(), 3e-5, weight_decay=0.0)
        trained(segmenter, optimiser, 1)  # Adam's moments exist from the second step on
        for images in BATCHES:
            sizes = counted(segmenter, [optimiser], partial(trained, segmenter, optimiser, images))
            rows.append([f"step of training, {images} image{'s' * (images > 1)}", *sizes])
    note = (
        "Mask and edge together; the VAE in float16, the UNet's weights in float32 under bfloat16 autocast, whose "
        "copies of them are in the last column. A prediction encodes, makes its step and decodes; a step of training "
        "is the UNet's, on latents that are there. Counted of tensors' shapes under a CPU's operators; a GPU's "
        "libraries need some more."
    )
    reached = "reached" if rows[0][1] < BAR else "**not reached**"
    return {
        "count": SIDE,
        "source": "pixels a side, SD 2.1's size",
        "tables": [{"title": "Memory of DiffDIS, counted", "columns": COLUMNS, "rows": rows, "note": note}],
        "verdicts": {f"a prediction under {BAR:.0f} GB": reached},
    }


def shapes_of(segmenter: Segmenter) -> FakeTensorMode:
    """Replace the segmenter's tensors by shapes, its VAE in half precision; returns the mode to run it in."""
    mode = FakeTensorMode()
    segmenter.vae.half()
    for module in [*segmenter.vae.modules(), *segmenter.network.modules()]:
        for tensors in (module._parameters, module._buffers):
            for name, value in tensors.items():
                if value is not None:
                    shape = mode.from_tensor(value.detach())
                    # MemTracker hooks every parameter, also those of the frozen VAE, which runs without gradients.
                    tensors[name] = nn.Parameter(shape) if tensors is module._parameters else shape
    for name in ("alpha_bar", "context", "labels", "levels"):
        setattr(segmenter, name, mode.from_tensor(getattr(segmenter, name)))
    return mode


def counted(segmenter: Segmenter, optimisers: list[Any], act: Callable[[], None]) -> list[float]:
    """Peak GB while `act` runs: in total, and of it weights and buffers, gradients, Adam's state, all else."""
    tracker = MemTracker()
    tracker.track_external(segmenter.vae, segmenter.network, *optimisers)
    with tracker:
        act()
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    parts = {getattr(kind, "value", kind): bytes / 1e9 for kind, bytes in peak.items()}
    total = parts.pop("Total")
    known = [parts["Parameter"] + parts["Buffer"], parts["Gradient"], parts["Optstate"]]
    return [total, *known, total - sum(known)]


@torch.no_grad()
def predicted(segmenter: Segmenter) -> None:
    """The masks of one image."""
    segmenter.network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        segmenter.masks_of(torch.rand(1, 3, *segmenter.size))


def trained(segmenter: Segmenter, optimiser: torch.optim.Optimizer, images: int) -> None:
    """A training step on the latents of `images` images."""
    segmenter.network.train()
    optimiser.zero_grad(set_to_none=True)
    side = segmenter.size[0] // segmenter.facts.vae_factor
    with torch.autocast("cpu", torch.bfloat16):
        noisy = torch.randn(2 * images, segmenter.facts.latent_channels, side, side)
        levels = segmenter.levels[:, None].expand(-1, images)
        denoised = segmenter.denoised(segmenter.network, noisy[:images], noisy, levels)
        loss = F.mse_loss(denoised, torch.randn_like(denoised))
    loss.backward()
    optimiser.step()
