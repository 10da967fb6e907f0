"""What scheduler_config.json must say so that a backbone's noise levels follow from it. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from models.backbone.files import EXPECTED
from models.errors import UserError

LEVELS = 1000  # noise levels that all backbones are trained on
BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2")
# The classes of diffusers whose noise levels follow from betas. Which one it is does not matter: each can be sampled by
# any of sampling.scheduler, as with `from_config` in diffusers.
KNOWN = tuple(
    f"{kind}Scheduler"
    for kind in (
        "DDIM", "DDIMInverse", "DDIMParallel", "DDPM", "DDPMParallel", "DEISMultistep", "DPMSolverMultistep",
        "DPMSolverMultistepInverse", "DPMSolverSDE", "DPMSolverSinglestep", "EulerAncestralDiscrete", "EulerDiscrete",
        "HeunDiscrete", "KDPM2AncestralDiscrete", "KDPM2Discrete", "LCM", "LMSDiscrete", "PNDM", "SASolver", "TCD",
        "UniPCMultistep",
    )
)  # fmt: skip


def refuse_other_levels(name: str, config: Mapping[str, Any]) -> None:
    """UserError that names the first field that is missing or not valid, so that no schedule is guessed."""
    for field, got, allowed, expected in (*_fields(config), *_betas(config)):
        if not allowed:
            wrong = f"is not valid: {field}: expected {expected}, got {_shown(got)}"
            why = f"lacks {field}" if got is None else wrong
            raise UserError(f"backbone {name}: {EXPECTED}; scheduler/scheduler_config.json {why}; choose another")


Field = tuple[str, Any, bool, str]  # name, value, whether it is allowed, what is


def _fields(config: Mapping[str, Any]) -> list[Field]:
    kind, flow = config.get("_class_name"), config.get("use_flow_sigmas")
    levels, prediction = config.get("num_train_timesteps", LEVELS), config.get("prediction_type", "epsilon")
    betas = "a scheduler of diffusers whose noise levels follow from betas, as DDIMScheduler or EulerDiscreteScheduler"
    return [
        ("_class_name", kind, kind is None or kind in KNOWN, betas),
        ("use_flow_sigmas", flow, not flow, "false"),
        ("num_train_timesteps", levels, levels == LEVELS and isinstance(levels, int), str(LEVELS)),
        ("prediction_type", prediction, prediction in ("epsilon", "v_prediction"), "epsilon or v_prediction"),
    ]


def _betas(config: Mapping[str, Any]) -> list[Field]:
    """Betas are listed, or follow from their first and last; diffusers' defaults are those of no backbone."""
    listed = config.get("trained_betas")
    if listed is not None:
        valid = isinstance(listed, list) and len(listed) == LEVELS and all(map(_is_beta, listed))
        return [("trained_betas", listed, valid, f"{LEVELS} numbers between 0 and 1")]
    schedule = config.get("beta_schedule")
    ends = [(field, config.get(field)) for field in ("beta_start", "beta_end") if schedule != BETAS[2]]
    return [
        *((field, beta, _is_beta(beta), "a number between 0 and 1") for field, beta in ends),
        ("beta_schedule", schedule, schedule in BETAS, " or ".join(BETAS)),
    ]


def _is_beta(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:60] + "..."
