"""Every shell block of the start page runs as it is printed, in a copy of the checkout; make's own take minutes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "index.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# First line that differs -> what there is after the block, beside exit code 0.
LEAVES = {
    "make demo": "data/demo/report/index.html",
    "make test": "Makefile",
    "maskmill build": "data/shapes/report/index.html",
    "maskmill export": "exports/coco/annotations/instances_train.json",
}
MINUTES = ("make demo", "make test")


def name_of(block: str) -> str:
    return next((name for name in LEAVES if name in block), block)


def cases() -> list:
    return [
        pytest.param(block, id=name_of(block), marks=[pytest.mark.slow] if name_of(block) in MINUTES else [])
        for block in BLOCKS
    ]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git would hand out, with this environment as their .venv, so that nothing is installed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode:
        pytest.skip("needs git, to know which files are the project's")
    copy = tmp_path_factory.mktemp("start") / "maskmill"
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    (copy / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != ".installed":
            (copy / ".venv" / part.name).symlink_to(part)
    (copy / ".venv" / ".installed").touch()
    return copy


@pytest.mark.parametrize("block", cases())
def test_a_shell_block_runs_as_printed(block: str, checkout: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(checkout),  # the environment has another copy installed
        "PREFECT_HOME": str(checkout / "prefect"),
        "PYTEST_ADDOPTS": "--collect-only -q",  # this suite inside itself would not end
    }
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], cwd=checkout, env=environment, capture_output=True, text=True,
        timeout=3600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert (checkout / LEAVES[name_of(block)]).exists()


def test_every_shell_block_is_run() -> None:
    assert [name_of(block) for block in BLOCKS] == list(LEAVES)
    assert "```\n$" not in PAGE and "```sh" not in PAGE and "```console" not in PAGE


def test_the_readme_has_the_same_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert re.findall(r"^make \w+", readme, re.MULTILINE)[:2] == [block.strip() for block in BLOCKS[:2]]
