"""Step from noise to clean latents: the paper's DDIM, or a scheduler of diffusers made from the backbone's own.

Each evaluates the network once a step and adds no noise of its own, so a sample follows from its first noise alone.
Knows nothing of prompts, guidance or attention. Letters: B samples, C latent channels, h x w latent grid.
"""

from collections.abc import Sequence
from itertools import pairwise
from textwrap import shorten
from typing import Any, Protocol

import torch

from models.backbone.ddim import noised, predict_x0_eps, timesteps
from models.backbone.protocol import Backbone, BackboneFacts
from models.config.sampling import SamplingConfig, Scheduler, Spacing
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
    """UserError if the configured scheduler cannot be made from the backbone's configuration. Loads no network."""
    if is_papers(sampling.scheduler, sampling.spacing):
        levels: Sequence[float] = timesteps(sampling.steps)
    else:
        levels = OfDiffusers(facts, sampling.steps, sampling.scheduler, sampling.spacing).timesteps
    zero_snr = facts.scheduler.get("rescale_betas_zero_snr")
    if zero_snr and sampling.scheduler == "ddim" and facts.prediction_type == "epsilon" and 999 in levels:
        raise UserError(
            f"sampling.spacing: {sampling.spacing or 'leading'} in {sampling.steps} steps begins at level 999, where "
            f"{facts.name} has no signal (rescale_betas_zero_snr), by which DDIM divides where epsilon is predicted; "
            "use leading with at most 499 steps, or sampling.scheduler=euler"
        )


def is_papers(scheduler: Scheduler, spacing: Spacing | None) -> bool:
    """Whether these are the paper's DDIM steps, whatever the backbone's own scheduler says."""
    return scheduler == "ddim" and spacing in (None, "leading")


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
        except Exception as error:  # from diffusers, torch and numpy, for values that no schedule can have
            why = shorten(f"{type(error).__name__}: {error}", 160)
            raise UserError(
                f"backbone {facts.name}: no {scheduler} scheduler can be made from scheduler/scheduler_config.json "
                f"({why}); use sampling.scheduler=ddim"
            ) from error
        self._drop_surplus(steps)
        self.timesteps: list[float] = self._scheduler.timesteps.tolist()
        self.initial_sigma = float(self._scheduler.init_noise_sigma)

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
