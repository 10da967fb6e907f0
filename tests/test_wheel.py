"""The wheel: what it holds, and that it works in an environment that has never seen this checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOPS = {"analysis", "benchmarks", "flows", "maskmill", "models", "storage", "tasks"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build folder is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, folder / "source"],
        cwd=folder,
    )
    (built,) = folder.glob("maskmill-*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment's Python, with the wheel in it and the libraries of this one beside it.

    A .pth file adds this environment's folder without reading the .pth files there: an editable maskmill stays unseen.
    """
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    found = folder / "bin" / "python"
    run([sys.executable, "-m", "pip", "--python", found, "install", "--no-deps", "--quiet", wheel], cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    return found


def run(command: list, cwd: Path, **environment: str) -> str:
    """Its output; the process sees no checkout, neither by its folder nor by PYTHONPATH."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PREFECT_API_URL")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=inherited | environment, capture_output=True, text=True,
        timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def test_it_holds_the_packages_with_their_data_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == TOPS
    for file in (
        "models/pocket/weights/unet/diffusion_pytorch_model.safetensors", "models/pocket/weights/tokenizer/vocab.json",
        "models/classes/imagenet.tsv", "models/classes/categories.tsv",
        "analysis/templates/report.html.j2", "analysis/templates/report.css", "maskmill/cli.py",
    ):  # fmt: skip
        assert file in names
    assert not [name for name in names if "test" in name.split("/")[0] or name.endswith(".ipynb")]


def test_it_says_what_it_is(wheel: Path, python: Path, tmp_path: Path) -> None:
    version = wheel.name.split("-")[1]
    script = python.parent / "maskmill"
    assert run([script, "--version"], tmp_path).split() == ["maskmill", version]
    assert "build" in run([script, "--help"], tmp_path)
    where = run([python, "-c", "import maskmill, models; print(maskmill.__file__, models.__file__)"], tmp_path).split()
    assert all(Path(path).is_relative_to(python.parent.parent) for path in where)


def test_it_builds_a_dataset(python: Path, tmp_path: Path) -> None:
    script = python.parent / "maskmill"
    command = [script, "build", "--backbone", "pocket", "--classes", "ball", "--count", "4", "--out", "shapes"]
    told = run(command, tmp_path, PREFECT_HOME=str(tmp_path / "prefect"))
    assert "planned   4" in told and (tmp_path / "shapes" / "report" / "index.html").exists()
