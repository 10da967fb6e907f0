"""DiffDIS's single step, and a step of its training, against diffusers' modules that run the same graph.

On a GPU at 1024x1024 with Stable Diffusion 2.1's size; without one, pocket at its native size and SD 2.1's at 256x256,
where only the ratio is meaningful. Time does not depend on the weights: SD 2.1's are random.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.nn import functional as F
from tqdm import tqdm

from benchmarks.fullsize import full_size
from models.backbone.files import POCKET_FOLDER
from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.diffdis.segmenter import batch_labels
from models.segmenters.registry import segmenter_of
from models.training.loop import mixed_precision

REPEATS = 5  # after one warm-up
SINGLE = {"dbia": "none", "swci": False}
LABEL = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 4}
COLUMNS = ["what", "side, px", "seconds", "diffusers, seconds", "ratio", "GB at most", "diffusers, GB at most"]


def run() -> dict[str, Any]:
    """Time every setting; returns the table."""
    with TemporaryDirectory() as folder:
        sd21 = full_size("sd21", Path(folder))
        if torch.cuda.is_available():
            rows = rows_of("SD 2.1", sd21, 1024, training=True)
        else:
            rows = rows_of("pocket", POCKET_FOLDER, 128, training=True) + rows_of("SD 2.1", sd21, 256, training=False)
    note = (
        "One image. Both sides: the image encoded, the UNet on mask and edge together, the mask decoded; in training "
        "the image, mask and edge encoded, gradients, a step of Adam. Without DBIA and SWCI both graphs are the same; "
        f"in training ours alters the image first. Medians of {REPEATS}; seconds without a GPU are the processor's."
    )
    tables = [{"title": "DiffDIS beside diffusers' modules", "columns": COLUMNS, "rows": rows, "note": note}]
    return {"count": REPEATS, "source": "repetitions", "tables": tables, "verdicts": {}}


def rows_of(name: str, backbone: Path, size: int, training: bool) -> list[list[Any]]:
    """A backbone's rows: a prediction by DiffDIS, one without its parts, and with `training` a step of training."""
    kinds = {
        "one step": ({}, Ours.predict, Plain.predict),
        "without DBIA and SWCI": (SINGLE, Ours.predict, Plain.predict),
    }
    if training:
        kinds["step of training"] = ({}, Ours.train, Plain.train)
    rows = []
    for kind, (values, ours_act, peer_act) in tqdm(kinds.items(), desc=name):
        choices = {"backbone": str(backbone), "size": size, "batch_size": 1, "run": {"batch_size": 1}} | values
        config = DiffDisConfig.model_validate(choices)
        ours, theirs = measured(partial(Ours, config), ours_act), measured(partial(Plain, backbone, size), peer_act)
        rows.append([f"{name}, {kind}", str(size), ours[0], theirs[0], ours[0] / theirs[0], ours[1], theirs[1]])
    return rows


def measured(make: Callable[[], Any], act: Callable[[Any], Any]) -> tuple[float, float | str]:
    """Median seconds of an act, and the GPU's peak memory in GB including weights; nothing else is held meanwhile."""
    there = torch.cuda.is_available()
    if there:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    side, seconds = make(), []
    for _ in range(1 + REPEATS):
        clock = perf_counter if there else process_time
        start = clock()
        act(side)
        if there:
            torch.cuda.synchronize()
        seconds.append(clock() - start)
    return median(seconds[1:]), torch.cuda.max_memory_allocated() / 1e9 if there else "no GPU"


class Ours:
    """The segmenter, as `maskmill predict` and `maskmill train` use it."""

    def __init__(self, config: DiffDisConfig):
        self.segmenter: Any = segmenter_of(config)
        side = config.size
        self.optimiser = torch.optim.Adam(self.segmenter.network.parameters(), 3e-5)
        self.image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        mask = torch.zeros(1, side, side, dtype=torch.bool)
        mask[:, side // 4 : side // 2, side // 4 : side // 2] = True
        self.batch = {"image": torch.from_numpy(self.image[None]), "mask": mask}

    def predict(self) -> None:
        """The mask of one image."""
        self.segmenter.predict([self.image])

    def train(self) -> None:
        """A step on one image."""
        self.optimiser.zero_grad(set_to_none=True)
        with mixed_precision(self.segmenter.device):
            loss = self.segmenter.loss(self.segmenter.network, self.batch)
        loss.backward()
        self.optimiser.step()


class Plain:
    """diffusers' VAE, frozen and on a GPU in half precision, and its UNet with twice the input and with labels.

    x_0 is computed from v; from eps it takes as long.
    """

    def __init__(self, backbone: Path, size: int):
        on_gpu = torch.cuda.is_available()
        self.device = torch.device("cuda" if on_gpu else "cpu")
        dtype = torch.float16 if on_gpu else torch.float32
        self.vae = AutoencoderKL.from_pretrained(backbone / "vae", torch_dtype=dtype).to(self.device).eval()
        config = UNet2DConditionModel.load_config(backbone / "unet")
        channels = config["in_channels"]
        self.unet = UNet2DConditionModel.from_config(config, in_channels=2 * channels, **LABEL).to(self.device)
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.noise = torch.randn(1, channels, size // factor, size // factor, device=self.device)
        self.pixels = torch.rand(1, 3, size, size, device=self.device, dtype=dtype) * 2 - 1
        self.labels = batch_labels().to(self.device)
        self.context = torch.zeros(2, 2, self.unet.config.cross_attention_dim, device=self.device)
        self.optimiser = torch.optim.Adam(self.unet.parameters(), 3e-5)

    @torch.no_grad()
    def encoded(self) -> torch.Tensor:
        """Scaled latents of one image, (1, C, h, w)."""
        return self.vae.encode(self.pixels).latent_dist.mean.float() * self.vae.config.scaling_factor

    def clean(self, rgb: torch.Tensor, noisy: torch.Tensor) -> torch.Tensor:
        """x_0 of mask and edge at t = 999, of a v-backbone with alpha_bar 0.0047: (2, C, h, w)."""
        both = torch.cat([rgb.expand_as(noisy), noisy], dim=1)
        with mixed_precision(self.device):
            output = self.unet(both, 999, encoder_hidden_states=self.context, class_labels=self.labels).sample
        return 0.0047**0.5 * noisy - 0.9953**0.5 * output.float()

    @torch.no_grad()
    def predict(self) -> None:
        """The mask of one image: encode, one step, decode."""
        self.unet.eval()
        mask = self.clean(self.encoded(), self.noise.expand(2, -1, -1, -1))[:1] / self.vae.config.scaling_factor
        self.vae.decode(mask.to(self.vae.dtype)).sample.mean(dim=1).clamp(-1, 1).float().cpu().numpy()

    def train(self) -> None:
        """A step on one image, its mask and its edge."""
        self.unet.train()
        self.optimiser.zero_grad(set_to_none=True)
        rgb, mask, edge = (self.encoded() for _ in range(3))
        truth = torch.cat([mask, edge])
        noisy = 0.0047**0.5 * truth + 0.9953**0.5 * torch.randn_like(truth)
        F.mse_loss(self.clean(rgb, noisy), truth).backward()
        self.optimiser.step()
