"""What a scheduler's configuration must say; any other is refused by the checks, in one line."""

import inspect
import json
import shutil
from contextlib import suppress

import diffusers
import pytest
from diffusers import SchedulerMixin

from models.backbone.facts import check_backbone
from models.backbone.schedulers.configuration import KNOWN
from models.backbone.schedulers.steppers import check_sampling
from models.config.sampling import SamplingConfig
from models.errors import UserError
from tests.models.backbone.test_facts import ODD
from tests.tiny_xl import edit

LISTED = {"beta_start": None, "beta_end": None, "beta_schedule": None}


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of a tiny backbone's folder, of each family in turn."""
    return shutil.copytree(folder, tmp_path / "copy")


def test_the_known_classes_are_those_of_diffusers_with_betas():
    found = {name: getattr(diffusers, name) for name in dir(diffusers) if name.endswith("Scheduler")}
    signatures = {
        name: inspect.signature(kind).parameters for name, kind in found.items() if issubclass(kind, SchedulerMixin)
    }
    with_betas = {name for name, fields in signatures.items() if {"beta_start", "beta_schedule"} <= fields.keys()}
    others = {"CogVideoXDDIMScheduler", "CogVideoXDPMScheduler", "RePaintScheduler"}  # of other networks
    assert with_betas - others <= set(KNOWN) and len(with_betas) > 15


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"beta_start": None}, ["lacks beta_start"]),
        ({"beta_end": None}, ["lacks beta_end"]),
        ({"beta_schedule": None}, ["lacks beta_schedule"]),
        ({"beta_start": "0.00085"}, ["beta_start", "between 0 and 1", "0.00085"]),
        ({"beta_end": -1}, ["beta_end", "between 0 and 1", "-1"]),
        ({"beta_schedule": "sigmoid"}, ["beta_schedule", "scaled_linear", "sigmoid"]),
        ({"trained_betas": [0.1, 0.2]}, ["trained_betas", "1000 numbers", "[0.1, 0.2]"]),
        ({"num_train_timesteps": 500}, ["num_train_timesteps", "1000", "500"]),
        ({"_class_name": "MyScheduler"}, ["_class_name", "MyScheduler", "DDIMScheduler"]),
        (
            {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0, **LISTED},
            ["_class_name", "FlowMatch", "betas"],
        ),
        ({"_class_name": "EDMDPMSolverMultistepScheduler", **LISTED}, ["_class_name", "EDM", "betas"]),
        ({"use_flow_sigmas": True}, ["use_flow_sigmas", "false"]),
        ({"prediction_type": "flow_prediction"}, ["prediction_type", "epsilon or v_prediction", "flow_prediction"]),
    ],
)
def test_what_noise_levels_do_not_follow_from_is_refused(copy, changes, words):
    edit(copy / "scheduler" / "scheduler_config.json", **changes)
    with pytest.raises(UserError) as error:
        check_backbone(str(copy))
    assert all(word in str(error.value) for word in ["scheduler_config.json", *words]) and "\n" not in str(error.value)


def test_betas_may_be_listed_or_cosine(copy):
    file = copy / "scheduler" / "scheduler_config.json"
    for changes in ({**LISTED, "trained_betas": [0.001] * 1000}, {**LISTED, "beta_schedule": "squaredcos_cap_v2"}):
        edit(file, trained_betas=None)
        edit(file, **changes)
        facts = check_backbone(str(copy))
        for scheduler in ("ddim", "dpm++", "euler"):
            check_sampling(facts, SamplingConfig(scheduler=scheduler, steps=3))


@pytest.mark.parametrize(
    "changes",
    [
        {"use_karras_sigmas": True, "use_beta_sigmas": True},
        {"timestep_spacing": "even"},
        {"final_sigmas_type": "none"},
        {"steps_offset": "x"},
    ],
)
@pytest.mark.parametrize("scheduler", ["dpm++", "euler"])
def test_what_only_this_scheduler_cannot_do_is_refused_for_it(copy, scheduler, changes):
    """DDIM, which has no such field, samples as before."""
    edit(copy / "scheduler" / "scheduler_config.json", timestep_spacing="leading")
    edit(copy / "scheduler" / "scheduler_config.json", **changes)
    facts = check_backbone(str(copy))
    check_sampling(facts, SamplingConfig(steps=3))
    if "steps_offset" in changes and facts.family == "StableDiffusionPipeline":
        return  # its pipeline takes no other offset than 1
    with pytest.raises(UserError, match=r"no (dpm\+\+|euler) scheduler can be made.*scheduler_config\.json") as error:
        check_sampling(facts, SamplingConfig(scheduler=scheduler, steps=3))
    assert "\n" not in str(error.value)


def test_json_of_any_content_gives_steps_or_one_line(tiny_folders, tmp_path):
    copy = shutil.copytree(tiny_folders["sd1"], tmp_path / "copy")
    file = copy / "scheduler" / "scheduler_config.json"
    kept = json.loads(file.read_text()) | {
        "solver_type": "midpoint", "use_karras_sigmas": False, "timestep_type": "discrete", "thresholding": False,
        "lambda_min_clipped": -100.0, "interpolation_type": "linear", "euler_at_final": False, "variance_type": None,
    }  # fmt: skip
    for key in kept:
        for value in ODD:
            file.write_text(json.dumps(kept | {key: value}))
            with suppress(UserError):
                facts = check_backbone(str(copy))
                for scheduler in ("ddim", "dpm++", "euler"):
                    with suppress(UserError):
                        check_sampling(facts, SamplingConfig(scheduler=scheduler, steps=3))
