"""What any family on a UNet2DConditionModel asks of its configurations, and how what does not fit is refused.

Imports no torch. Knows nothing of a family's texts.
"""

from typing import Any

from models.backbone.files import EXPECTED
from models.errors import UserError

Checks = dict[str, tuple[Any, tuple[Any, ...]]]  # "part/file: field" -> (value, the values that are allowed)

IN_UNET = ("sample_size", "down_block_types", "up_block_types", "block_out_channels", "cross_attention_dim")
IN_VAE = ("block_out_channels", "latent_channels")


def refuse_other_networks(name: str, unet: dict, vae: dict, scheduler: dict, family: Checks) -> None:
    """UserError that names the first field whose value is not allowed; `family` holds the checks of one family."""
    needed = [("unet", unet, key) for key in IN_UNET] + [("vae", vae, key) for key in IN_VAE]
    for part, config, key in needed:
        if not config.get(key):
            raise UserError(f"backbone {name}: {EXPECTED}; {part}/config.json lacks {key}; download it again")
    for field, (got, allowed) in (_of_any_family(unet, vae, scheduler) | family).items():
        if got not in allowed:
            expected = " or ".join(map(str, allowed))
            raise UserError(f"backbone {name}: {EXPECTED}; {field}: expected {expected}, got {got}; choose another")


def _of_any_family(unet: dict, vae: dict, scheduler: dict) -> Checks:
    checks: Checks = {
        "unet/config.json: _class_name": (unet.get("_class_name"), ("UNet2DConditionModel",)),
        "unet/config.json: in_channels": (unet.get("in_channels"), (vae.get("latent_channels"),)),
        "unet/config.json: num_class_embeds": (unet.get("num_class_embeds"), (None,)),
        "unet/config.json: class_embed_type": (unet.get("class_embed_type"), (None,)),
        "vae/config.json: _class_name": (vae.get("_class_name"), ("AutoencoderKL",)),
        "scheduler/scheduler_config.json: num_train_timesteps": (scheduler.get("num_train_timesteps", 1000), (1000,)),
        "scheduler/scheduler_config.json: prediction_type": (
            scheduler.get("prediction_type", "epsilon"),
            ("epsilon", "v_prediction"),
        ),
    }
    if not isinstance(vae.get("scaling_factor", 1.0), (int, float)):
        checks["vae/config.json: scaling_factor"] = (vae["scaling_factor"], ("a number",))
    if (kind := str(scheduler.get("_class_name", ""))).startswith(("EDM", "FlowMatch")):
        needed = "a scheduler whose noise levels follow from betas, as DDIMScheduler or EulerDiscreteScheduler"
        checks["scheduler/scheduler_config.json: _class_name"] = (kind, (needed,))
    size = unet["sample_size"]
    if not all(isinstance(side, int) and side > 0 for side in (size if isinstance(size, list) else [size])):
        checks["unet/config.json: sample_size"] = (size, ("a number of cells",))
    return checks
