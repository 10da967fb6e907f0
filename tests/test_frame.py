"""The project's own files agree with each other: configurations, deployments, constraints, package list."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from models.config.build import BuildConfig

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path: Path) -> None:
    BuildConfig.model_validate(yaml.safe_load(path.read_text()))


def test_constraints_pin_every_dependency_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+", line) for line in lines)
    pinned = {canonical(line.split("==")[0]) for line in lines}
    named = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]
    assert not {canonical(name) for name in named} - pinned


def test_pins_that_the_scheduler_needs() -> None:
    """docs/decisions/constraints.md: with newer ones the server does not start, or a cron never runs."""
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    assert pinned["SQLAlchemy"].startswith("2.0.")
    assert tuple(map(int, pinned["fastapi"].split("."))) < (0, 151)


def test_every_package_is_listed() -> None:
    tops = [package for package in PROJECT["tool"]["setuptools"]["packages"] if "." not in package]
    found = {
        ".".join(init.parent.relative_to(ROOT).parts) for top in tops for init in (ROOT / top).rglob("__init__.py")
    }
    assert found <= set(PROJECT["tool"]["setuptools"]["packages"])


@pytest.mark.parametrize("deployment", DEPLOYMENTS["deployments"], ids=lambda deployment: deployment["name"])
def test_deployments_name_a_module_and_valid_parameters(deployment: dict) -> None:
    module, _, _ = deployment["entrypoint"].partition(":")
    if (ROOT / "flows" / "build.py").exists():
        assert importlib.util.find_spec(module)
    assert "/" not in deployment["entrypoint"]
    if "config" in deployment["parameters"]:
        BuildConfig.model_validate(deployment["parameters"]["config"])
    assert all(schedule["slug"] for schedule in deployment.get("schedules", []))


def test_pull_is_explicit_and_names_no_machine() -> None:
    assert "$MASKMILL_HOME" in str(DEPLOYMENTS["pull"])
