"""A dataset's stored config, read by another version of maskmill."""

import pytest

from models.config.build import BuildConfig
from models.config.photos import MaskConfig
from models.errors import UserError

STORED = BuildConfig(classes=("ball",), count=2).model_dump(mode="json", by_alias=True)


def test_a_stored_config_is_read_as_it_was():
    assert BuildConfig.of_stored(STORED) == BuildConfig(classes=("ball",), count=2)


@pytest.mark.parametrize("change, said", [({"later": 1}, "later: no such field"), ({"cut": {"tau": 7}}, "tau")])
def test_a_stored_config_of_another_version_is_refused_in_words(change, said):
    with pytest.raises(UserError, match=f"stored config is not valid in this version .*{said}.*use the version"):
        BuildConfig.of_stored(STORED | change)


def test_turbo_is_built_in_few_steps_by_its_id_alone():
    """Its preset lies over the defaults and under what is given; photographs are inverted in as many steps as ever."""
    turbo = {"backbone": "stabilityai/sdxl-turbo", "classes": ["cat"], "count": 1}
    few = BuildConfig.model_validate(turbo).sampling
    assert (few.steps, few.scheduler, few.spacing, few.guided) == (4, "euler", "trailing", False)
    assert BuildConfig.model_validate(turbo | {"sampling": {"steps": 1}}).sampling.steps == 1
    base = BuildConfig.model_validate(turbo | {"backbone": "stabilityai/stable-diffusion-xl-base-1.0"}).sampling
    assert (base.steps, base.scheduler, base.guidance) == (40, "ddim", 7.5)
    assert MaskConfig(backbone="stabilityai/sdxl-turbo").sampling.steps == 40
