"""Step from noise to clean latents: the paper's DDIM, or a scheduler of diffusers made from the backbone's own.

Each evaluates the network once a step and adds no noise of its own, so a sample follows from its first noise alone.
Knows nothing of prompts, guidance or attention. Letters: B samples, C latent channels, h x w latent grid.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from textwrap import shorten
from typing import Any, Protocol

import torch

from models.backbone.ddim import noised, predict_x0_eps, timesteps
from models.backbone.protocol import Backbone, BackboneFacts
from models.config.sampling import SamplingConfig, Scheduler, Spacing, is_papers
from models.errors import UserError

# Fields that make a scheduler what its name says, whatever kind of scheduler the backbone comes with.
FIXED: dict[Scheduler, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {"clip_sample": False}),  # latents have no range to be clipped to
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),  # "2M"
    "euler": ("EulerDiscreteScheduler", {}),
}


class Stepper(Protocol):
    """The way of one batch from its first latents to clean ones; it has a state and is used once.

    timesteps: the noise level of each evaluation; initial_sigma: what standard normal noise is multiplied by.
    """

    @property
    def timesteps(self) -> Sequence[float]: ...

    @property
    def initial_sigma(self) -> float: ...

    def scaled(self, latents: torch.Tensor, t: float) -> torch.Tensor:
        """What the network is shown of the latents (B, C, h, w) at level t."""

    def step(self, output: torch.Tensor, t: float, latents: torch.Tensor) -> torch.Tensor:
        """The latents at the level after t, from the network's output for those at t; all (B, C, h, w) float32."""


def stepper_of(backbone: Backbone, steps: int, scheduler: Scheduler, spacing: Spacing | None) -> Stepper:
    """The steps through a backbone's noise levels; UserError if its scheduler's configuration does not allow them."""
    if is_papers(scheduler, spacing):
        return PaperDdim(backbone, steps)
    return OfDiffusers(backbone.facts, steps, scheduler, spacing, backbone.device)


def check_sampling(facts: BackboneFacts, sampling: SamplingConfig) -> None:
    """UserError if the backbone's scheduler configuration does not allow the configured steps. Loads no network.

    They are tried out on latents of one cell, with a network that predicts zeros.
    """
    spacing = sampling.spacing
    if is_papers(sampling.scheduler, spacing):
        spacing, facts = "leading", replace(facts, scheduler={**facts.scheduler, "steps_offset": 1})
    stepper = OfDiffusers(facts, sampling.steps, sampling.scheduler, spacing)
    latents = torch.full((1, 1, 1, 1), stepper.initial_sigma)
    try:
        for t in stepper.timesteps:
            latents = stepper.step(0 * stepper.scaled(latents, t), t, latents)
    except Exception as error:  # as in OfDiffusers
        raise _refusal(facts, sampling.scheduler, error) from error
    if not latents.isfinite().all():
        raise UserError(
            f"sampling.spacing: {sampling.scheduler} in {sampling.steps} {spacing or ''} steps begins where backbone "
            f"{facts.name} has no signal (rescale_betas_zero_snr) and divides by it, since {facts.prediction_type} is "
            "predicted; use leading or sampling.scheduler=euler"
        )


class PaperDdim:
    """DDIM, eta 0, over CompVis's uniform levels (reverse of eq. 7); the last step ends at alpha_bar[0]."""

    initial_sigma = 1.0

    def __init__(self, backbone: Backbone, steps: int):
        self.backbone = backbone
        self.timesteps = timesteps(steps, len(backbone.alpha_bar))
        self._targets = dict(pairwise([*self.timesteps, 0]))

    def scaled(self, latents: torch.Tensor, t: float) -> torch.Tensor:
        return latents

    def step(self, output: torch.Tensor, t: float, latents: torch.Tensor) -> torch.Tensor:
        return ddim_step(self.backbone, latents, output, int(t), self._targets[int(t)])


def ddim_step(backbone: Backbone, latents: torch.Tensor, output: torch.Tensor, t: int, target: int) -> torch.Tensor:
    """Latents from noise level t to `target`, up or down: sqrt(alpha_bar') f + sqrt(1 - alpha_bar') eps (eq. 7).

    A v-prediction is converted to eps = sqrt(alpha_bar) v + sqrt(1 - alpha_bar) x; f is computed from x and eps.
    """
    alpha_bar, alpha_bar_target = (float(backbone.alpha_bar[level]) for level in (t, target))
    clean, eps = predict_x0_eps(backbone.facts.prediction_type, output, latents, alpha_bar)
    return noised(clean, eps, alpha_bar_target)


class OfDiffusers:
    """A scheduler of diffusers with the fields of the backbone's own configuration, and the spacing that is asked for.

    If spacing is None, it is the configuration's, else the scheduler's default.
    """

    def __init__(
        self,
        facts: BackboneFacts,
        steps: int,
        scheduler: Scheduler,
        spacing: Spacing | None,
        device: torch.device | None = None,
    ):
        import diffusers

        name, fixed = FIXED[scheduler]
        fields = {**facts.scheduler, "prediction_type": facts.prediction_type, **fixed}
        fields |= {"timestep_spacing": spacing} if spacing else {}
        try:
            self._scheduler = getattr(diffusers, name).from_config(fields)
            self._scheduler.set_timesteps(steps, device=device)
            self._drop_surplus(steps)
            self.timesteps: list[float] = self._scheduler.timesteps.tolist()
            self.initial_sigma = float(self._scheduler.init_noise_sigma)
        except Exception as error:
            raise _refusal(facts, scheduler, error) from error

    def _drop_surplus(self, steps: int) -> None:
        """Drop the level -1 that rounding adds to 61, 103 and some other numbers of trailing steps."""
        own = self._scheduler
        own.timesteps = own.timesteps[:steps]
        if hasattr(own, "sigmas"):
            own.sigmas = torch.cat([own.sigmas[:steps], own.sigmas[-1:]])

    def scaled(self, latents: torch.Tensor, t: float) -> torch.Tensor:
        return self._scheduler.scale_model_input(latents, t)

    def step(self, output: torch.Tensor, t: float, latents: torch.Tensor) -> torch.Tensor:
        return self._scheduler.step(output, t, latents, return_dict=False)[0]


def _refusal(facts: BackboneFacts, scheduler: Scheduler, error: Exception) -> UserError:
    """For errors from diffusers, torch and numpy, which they raise for values that no schedule can have."""
    why = shorten(f"{type(error).__name__}: {error}", 160)
    return UserError(
        f"backbone {facts.name}: no {scheduler} scheduler can be made from scheduler/scheduler_config.json ({why}); "
        "mend it, or choose another sampling.scheduler"
    )
