"""Other schedulers than the paper's: latents are those of diffusers' own pipelines, attention is recorded alike."""

import json
import warnings
from typing import Any

import diffusers
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models.backbone.ddim import noise
from models.backbone.protocol import Backbone
from models.backbone.sampling import denoise
from models.backbone.schedulers.steppers import FIXED
from models.config.cut import CutConfig

SCHEDULERS, SPACINGS = ("ddim", "dpm++", "euler"), ("leading", "trailing", "linspace")
CUT, PROMPTS, CATEGORIES = CutConfig(), ["a cat", "the big cat"], ["cat", "cat"]


def pipeline_of(backbone: Backbone, scheduler: Any) -> Any:
    """Diffusers' own pipeline of a backbone's networks."""
    parts = {name: getattr(backbone, name) for name in ("vae", "unet", "text_encoder", "tokenizer")}
    if backbone.facts.family == "StableDiffusionXLPipeline":
        both = {name: getattr(backbone, name) for name in ("text_encoder_2", "tokenizer_2")}
        return StableDiffusionXLPipeline(**parts, **both, scheduler=scheduler, add_watermarker=False)
    return StableDiffusionPipeline(
        **parts, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def by_diffusers(backbone: Backbone, scheduler: str, latents: torch.Tensor, steps: int, guidance: float, **changes):
    """Final latents of diffusers' pipeline with that scheduler, from the same noise and prompts."""
    config = json.loads((backbone.facts.folder / "scheduler" / "scheduler_config.json").read_text())
    name, fixed = FIXED[scheduler]
    fields = {**config, "prediction_type": backbone.facts.prediction_type, **fixed, **changes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of an offset of 0, which the pipeline sets to 1
        pipeline = pipeline_of(backbone, getattr(diffusers, name).from_config(fields))
    pipeline.set_progress_bar_config(disable=True)
    height, width = (cells * backbone.facts.vae_factor for cells in latents.shape[2:])
    return pipeline(
        PROMPTS[: len(latents)], latents=latents.clone(), num_inference_steps=steps, guidance_scale=guidance,
        output_type="latent", height=height, width=width,
    ).images  # fmt: skip


def by_ours(backbone: Backbone, scheduler: str, latents: torch.Tensor, steps: int, guidance: float, spacing=None):
    text = backbone.encode_text(PROMPTS[: len(latents)])
    empty = backbone.unconditional().repeated(len(latents)) if guidance > 1 else None
    return denoise(backbone, latents, text, empty, steps, guidance, scheduler=scheduler, spacing=spacing)


def first_latents(count: int = 2) -> torch.Tensor:
    return torch.stack([noise(70 + i, (4, 16, 16)) for i in range(count)])


@given(
    scheduler=st.sampled_from(SCHEDULERS),
    spacing=st.sampled_from(SPACINGS),
    steps=st.integers(1, 12),
    guidance=st.sampled_from([0, 0.5, 1, 1.5, 2, 7.5]),
)
@example(scheduler="euler", spacing="trailing", steps=1, guidance=0)
@example(scheduler="dpm++", spacing="linspace", steps=1, guidance=7.5)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_latents_are_those_of_diffusers_pipeline(backbone, scheduler, spacing, steps, guidance):
    """Epsilon and v-prediction, with and without guidance, for every scheduler, spacing and number of steps."""
    changes = {"timestep_spacing": spacing}
    if scheduler == "ddim" and spacing == "leading":
        changes |= {"steps_offset": 1, "set_alpha_to_one": False}  # the paper's, whatever the folder says
    latents = first_latents()
    expected = by_diffusers(backbone, scheduler, latents, steps, guidance, **changes)
    found = by_ours(backbone, scheduler, latents, steps, guidance, spacing)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, scale))
