"""The project's own files agree with each other: configurations, deployments, constraints, package list."""

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from setuptools import find_packages

from models.config.build import BuildConfig

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOPS = ("analysis", "benchmarks", "flows", "maskmill", "models", "storage", "tasks")
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
ISSUE_FORMS = [path for path in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())


def canonical(name: str) -> str:
    """A package's name as registries compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path: Path) -> None:
    BuildConfig.model_validate(yaml.safe_load(path.read_text()))


def test_constraints_pin_every_dependency_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+", line) for line in lines)
    pinned = {canonical(line.split("==")[0]) for line in lines}
    named = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]
    assert not {canonical(Requirement(text).name) for text in named} - pinned


def test_pins_that_the_scheduler_needs() -> None:
    """docs/decisions/constraints.md: with newer ones the server does not start, or a cron never runs."""
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    assert pinned["SQLAlchemy"].startswith("2.0.")
    assert tuple(map(int, pinned["fastapi"].split("."))) < (0, 151)


def test_the_store_stays_with_the_releases_that_its_datasets_were_written_with() -> None:
    """docs/decisions/constraints.md: newer ones are offered from Python 3.12 on, also where nothing is pinned."""
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    asked = {named.name: named.specifier for named in map(Requirement, PROJECT["project"]["dependencies"])}
    for package, newer in (("icechunk", "2.0"), ("zarr", "3.2.0")):
        assert pinned[package] in asked[package]
        assert newer not in asked[package]


def test_every_package_goes_into_the_wheel_and_no_test() -> None:
    found = find_packages(str(ROOT), include=PROJECT["tool"]["setuptools"]["packages"]["find"]["include"])
    here = {".".join(init.parent.relative_to(ROOT).parts) for top in TOPS for init in (ROOT / top).rglob("__init__.py")}
    assert set(found) == here and {name.split(".")[0] for name in found} == set(TOPS)


def test_every_file_beside_the_code_goes_into_the_wheel() -> None:
    """What is not Python is named in package-data, notebooks aside, which are read in a checkout."""
    named = PROJECT["tool"]["setuptools"]["package-data"]
    shipped = {path for package, globs in named.items() for glob in globs for path in files_of(package, glob)}
    listed = subprocess.run(["git", "ls-files", *TOPS], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    beside = {ROOT / line for line in listed.splitlines() if not line.endswith((".py", ".ipynb", "py.typed"))}
    assert beside <= shipped


def files_of(package: str, glob: str) -> set[Path]:
    return {path for path in ROOT.joinpath(*package.split(".")).glob(glob.replace("**", "**/*")) if path.is_file()}


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


def test_the_version_stands_in_one_place() -> None:
    """pyproject.toml's; the citation and the changelog are compared with it, and the code asks what is installed."""
    version = PROJECT["project"]["version"]
    assert CITATION["version"] == version
    assert re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version
    sources = [path for top in TOPS for path in (ROOT / top).rglob("*.py")]
    assert not [path for path in sources if re.search(r"__version__ *= *[\"']", path.read_text())]


def test_the_citation_is_of_this_project() -> None:
    assert CITATION["cff-version"] == "1.2.0" and CITATION["type"] == "software"
    assert CITATION["title"] == PROJECT["project"]["name"] and CITATION["license"] == PROJECT["project"]["license"]
    assert [author["name"] for author in CITATION["authors"]] == [
        author["name"] for author in PROJECT["project"]["authors"]
    ]
    for reference in CITATION["references"]:
        assert {"type", "title", "authors"} <= reference.keys()


@pytest.mark.parametrize("path", ISSUE_FORMS, ids=lambda path: path.stem)
def test_issue_forms_have_what_a_host_needs(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert form["name"] and form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids)) and all(field["attributes"]["label"] for field in form["body"])
