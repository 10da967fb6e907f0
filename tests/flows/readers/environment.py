"""The readers' environment: made once from requirements.txt, kept below .cache/readers, and a process in it."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from models import digests

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
CACHE = HERE.parents[2] / ".cache" / "readers"


def python_of_readers() -> Path:
    """The interpreter of the environment, which is made if it is not there; skips where packages cannot be fetched."""
    place = CACHE / digests.of_file(REQUIREMENTS)[:16]
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        venv.create(place, with_pip=True)
        # Last the OpenCV that needs no display's libraries, over the same files of the one that Ultralytics asks for.
        for packages in (["-r", str(REQUIREMENTS)], ["--no-deps", "--force-reinstall", _pin("opencv-python-headless")]):
            done = subprocess.run(
                [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
                capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                pytest.skip(f"the readers' packages cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        (place / "ready").touch()
    return python


def versions() -> dict[str, str]:
    """The pinned version of each package."""
    pins = re.findall(r"^([\w-]+)==([\w.]+)", REQUIREMENTS.read_text(), flags=re.MULTILINE)
    return dict(pins)


def read(python: Path, reader: str, folder: Path, out: Path) -> dict[str, Any]:
    """What a reader, by its name in load.py, finds in an export: its "rows" and "facts"; masks lie in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    quiet = {"YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    homes = {name: str(out / name) for name in ("YOLO_CONFIG_DIR", "HF_HOME", "XDG_CACHE_HOME")}
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PREFECT_API_URL")}
    done = subprocess.run(
        [python, str(HERE / "load.py"), reader, str(folder), str(out)],
        env=inherited | quiet | homes, cwd=out, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"{reader}: {done.stderr[-3000:]}"
    found: dict[str, Any] = json.loads((out / "found.json").read_text())
    return found


def _pin(name: str) -> str:
    return f"{name}=={versions()[name]}"


if __name__ == "__main__":
    sys.stdout.write(f"{python_of_readers()}\n")
