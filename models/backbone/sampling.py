"""Sample images from a backbone with guidance, and return the evidence recorded meanwhile.

A sample's noise depends only on its seed, and the networks treat samples independently, so a sample is the same in any
batch (up to the last bits of the kernels). Knows nothing of shards, stores or tasks.
Letters: B samples, C latent channels, h x w latent grid, H x W image.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from models.backbone.attention import Record, record_attention
from models.backbone.ddim import noise
from models.backbone.protocol import Backbone, Conditioning
from models.backbone.schedulers.steppers import ddim_step as ddim_step
from models.backbone.schedulers.steppers import stepper_of
from models.backbone.tokens import category_span
from models.batching import in_batches
from models.config.cut import SEED_SETS, CutConfig
from models.config.sampling import SamplingConfig, Scheduler, Spacing
from models.cut.attentioncut import Evidence
from models.cut.seeds import refined_sets, seed_cells

logger = logging.getLogger(__name__)
OnStep = Callable[[int, int], None]  # (steps done, total steps)


@dataclass(frozen=True)
class Sampled:
    """One sampled image and its evidence.

    image: (H, W, 3) uint8; finite: False if sampling gave NaN or inf, image and evidence are then zeros;
    pooled: (h * w, K) float16, symmetrised A_s at `models.cut.seeds.seed_cells`, and layer_maps: (layers, h, w)
    float16, the category's map in each cross-attention layer; both only if `keep_pooled` is set, and without it
    refined_sets: (T, h, w) float16, r(p) of `models.config.cut.SEED_SETS`.
    """

    image: np.ndarray
    evidence: Evidence
    finite: bool
    pooled: np.ndarray | None = None
    layer_maps: np.ndarray | None = None
    refined_sets: np.ndarray | None = None


def sample(
    backbone: Backbone,
    prompts: list[str],
    categories: list[str],
    seeds: list[int],
    sampling: SamplingConfig,
    cut: CutConfig,
    on_step: OnStep | None = None,
) -> list[Sampled]:
    """Sample one batch: one image and its evidence for each (prompt, category, seed)."""
    _, grid = backbone.facts.sizes(sampling.height, sampling.width)
    shape = (backbone.facts.latent_channels, *grid)
    latents = torch.stack([noise(seed, shape) for seed in seeds])
    return sample_from(backbone, latents, prompts, categories, sampling, cut, on_step)


def sample_from(
    backbone: Backbone,
    latents: torch.Tensor,
    prompts: list[str],
    categories: list[str],
    sampling: SamplingConfig,
    cut: CutConfig,
    on_step: OnStep | None = None,
) -> list[Sampled]:
    """Sample one batch from given noise, standard normal (B, C, h, w) float32, recording attention."""
    spans = [category_span(backbone.tokenizer, p, c) for p, c in zip(prompts, categories, strict=True)]
    text = backbone.encode_text(prompts)
    empty = backbone.unconditional().repeated(len(prompts)) if sampling.guided else None
    grid = (latents.shape[2], latents.shape[3])
    with record_attention(backbone, grid, spans, text.tokens.shape[1], sampling.capture) as record:
        levels = sampling.scheduler, sampling.spacing
        latents = denoise(backbone, latents, text, empty, sampling.steps, sampling.guidance, on_step, *levels)
    return [_sampled(backbone, latents[i], record, i, sampling, cut) for i in range(len(prompts))]


def sample_batched(
    backbone: Backbone,
    prompts: list[str],
    categories: list[str],
    seeds: list[int],
    sampling: SamplingConfig,
    cut: CutConfig,
    batch_size: int,
    on_step: OnStep | None = None,
) -> list[Sampled]:
    """`sample` in batches of at most `batch_size`; a batch that does not fit in memory is halved, with a warning.

    on_step counts the steps of all samples: (done, len(prompts) * steps).
    """
    total = len(prompts) * sampling.steps

    def make(rows: slice) -> list[Sampled]:
        part = prompts[rows]

        def report(step: int, _: int) -> None:
            if on_step:
                on_step(rows.start * sampling.steps + step * len(part), total)

        return sample(backbone, part, categories[rows], seeds[rows], sampling, cut, report)

    return in_batches(len(prompts), batch_size, make)


@torch.no_grad()
def denoise(
    backbone: Backbone,
    latents: torch.Tensor,
    text: Conditioning,
    empty: Conditioning | None,
    steps: int,
    guidance: float,
    on_step: OnStep | None = None,
    scheduler: Scheduler = "ddim",
    spacing: Spacing | None = None,
) -> torch.Tensor:
    """Noise to clean latents, by DDIM as in the paper or by another scheduler (models/backbone/schedulers/steppers.py).

    latents: (B, C, h, w) float32; text: conditioning of B prompts; empty: that of B empty prompts, or None for no
    guidance -> (B, C, h, w) float32.
    """
    stepper = stepper_of(backbone, steps, scheduler, spacing)
    latents = latents.to(backbone.device, torch.float32) * stepper.initial_sigma
    conditioning = text if empty is None else empty.followed_by(text)
    for i, t in enumerate(stepper.timesteps):
        shown = stepper.scaled(latents, t)
        output = backbone.predict(shown if empty is None else shown.repeat(2, 1, 1, 1), t, conditioning)
        if empty is not None:
            unguided, guided = output.chunk(2)
            output = unguided + guidance * (guided - unguided)
        latents = stepper.step(output, t, latents)
        if on_step:
            on_step(i + 1, steps)
    return latents


@torch.no_grad()
def decode(backbone: Backbone, latents: torch.Tensor) -> np.ndarray:
    """One sample's latents (C, h, w) -> image (H, W, 3) float32 in [0, 1]; NaN stays NaN."""
    image = backbone.decode(latents[None])[0]
    return (image / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy()


def _sampled(
    backbone: Backbone, latents: torch.Tensor, record: Record, i: int, sampling: SamplingConfig, cut: CutConfig
) -> Sampled:
    image = decode(backbone, latents)
    maps = record.layer_maps(i)
    if not (np.isfinite(image).all() and np.isfinite(maps).all() and bool(latents.isfinite().all())):
        return _failed(image, record, sampling)
    kept = np.float16 if sampling.keep_pooled else np.float32  # so that a recut from the stored arrays gives the same
    maps, columns = maps.astype(kept), record.seed_columns(i).astype(kept)
    evidence = record.evidence_from(i, maps, columns, sampling.top_k, cut)
    return Sampled(
        image=np.round(image * 255).astype(np.uint8),
        evidence=evidence,
        finite=True,
        pooled=columns if sampling.keep_pooled else None,
        layer_maps=maps if sampling.keep_pooled else None,
        refined_sets=None if sampling.keep_pooled else refined_sets(columns, evidence.class_map, cut),
    )


def _failed(image: np.ndarray, record: Record, sampling: SamplingConfig) -> Sampled:
    h, w = record.grid
    evidence = Evidence(np.zeros((h, w), np.float32), np.zeros((h, w), np.float32), np.zeros((4, h, w), np.float32))
    return Sampled(
        image=np.zeros(image.shape, np.uint8),
        evidence=evidence,
        finite=False,
        pooled=np.zeros((h * w, len(seed_cells(h, w))), np.float16) if sampling.keep_pooled else None,
        layer_maps=np.zeros((len(record.cross), h, w), np.float16) if sampling.keep_pooled else None,
        refined_sets=None if sampling.keep_pooled else np.zeros((len(SEED_SETS), h, w), np.float16),
    )
