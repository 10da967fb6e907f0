"""Rendered scenes with the attention of their inversion, captured once and kept in the user's cache folder.

A batch is identified by its images, prompts and classes, the backbone's weights and the sampling; a killed benchmark
resumes at its last batch. The code is not part of the name: remove FOLDER after changing how attention is recorded.
Knows nothing of masks.
"""

import os
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.masks.pocket import batches
from models import digests
from models.atomic import replacing
from models.backbone.files import POCKET_FOLDER
from models.backbone.inversion import invert, reconstruct_with_capture
from models.backbone.load import load_backbone
from models.backbone.stable_diffusion import CONFIGS
from models.config.cut import CutConfig
from models.config.sampling import SamplingConfig
from models.paths import cache_folder
from models.pocket.scenes import Scene

FOLDER = cache_folder() / "captured"


@dataclass(frozen=True)
class Captured:
    """Attention of one scene, on pocket's 16x16 cells.

    layer_maps: (layers, h, w) float16, the class's map in each layer; attention: (N, N) float16, symmetrised A_s.
    """

    layer_maps: np.ndarray
    attention: np.ndarray


def capture(
    scenes: list[Scene], prompts: list[str], categories: list[str], sampling: SamplingConfig, name: str
) -> list[Captured]:
    """Attention of every scene, inverted under its prompt; `name` labels the progress bar."""
    sampling = sampling.model_copy(update={"keep_pooled": True})
    seen: list[Captured] = []
    for part in batches(list(zip(scenes, prompts, categories, strict=True)), name):
        images = np.stack([scene.image for scene, _, _ in part])
        seen += _batch(images, [prompt for _, prompt, _ in part], [category for *_, category in part], sampling)
    return seen


def _batch(images: np.ndarray, prompts: list[str], categories: list[str], sampling: SamplingConfig) -> list[Captured]:
    """One batch, read from the cache, else captured and cached."""
    file = FOLDER / f"{_name(images, prompts, categories, sampling)}.npz"
    if not file.exists():
        backbone = load_backbone("pocket")
        latents = invert(backbone, images, prompts, sampling.steps)
        samples = reconstruct_with_capture(
            backbone, latents, prompts, categories, sampling, CutConfig(thresholds="paper")
        )
        assert all(sample.finite for sample in samples)
        FOLDER.mkdir(parents=True, exist_ok=True)
        maps = [np.asarray(sample.layer_maps) for sample in samples]
        attention = [np.asarray(sample.pooled) for sample in samples]
        with replacing(file, mark=f".{os.getpid()}") as partial, partial.open("wb") as unfinished:
            np.savez(unfinished, layer_maps=np.stack(maps), attention=np.stack(attention))
    with np.load(file) as kept:
        return [Captured(*pair) for pair in zip(kept["layer_maps"], kept["attention"], strict=True)]


def _name(images: np.ndarray, prompts: list[str], categories: list[str], sampling: SamplingConfig) -> str:
    made_from = repr((_weights(), sampling.model_dump_json(), prompts, categories)).encode()
    return digests.of(images, made_from, length=32)


@cache
def _weights() -> str:
    """Digest of pocket's configurations and weights."""
    stems = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
    files = (*CONFIGS.values(), *(f"{part}/{stem}.safetensors" for part, stem in stems.items()))
    return digests.of_all(((POCKET_FOLDER / name).read_bytes() for name in files), length=64)
