"""Today's code against commit fc9895f's, each in processes of its own on one thread, from the same commands.

Samples, masks and trained weights are equal bit for bit, and today's code takes the older one's folders for its own:
what is done is done, and what is continued goes where today's own folders go.
"""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from benchmarks.rendered import rendered_folder
from storage.dataset.reader import Dataset, open_dataset
from tests.held.commands import ROOT, Result, run_all

COMMIT = "fc9895f"
BUILD = ["build", "--backbone", "pocket", "--classes", "ball,star", "--seed", "7", "--shard-size", "8", "--out", "ds"]
TRAIN: dict[str, dict[str, Any]] = {
    "unet": {"epochs": 20, "batch_size": 8, "size": 64, "encoder": "resnet18"},
    "encoder": {"epochs": 2, "encoder": "timm:resnet18", "weights": "random"},
    "diffusionseg": {"epochs": 2, "steps": 4},
    "sod-diffusion": {"epochs": 2, "batch_size": 4, "accumulate": 1, "clip": 0.5, "warm_up": 1},
    "diffdis": {"epochs": 2, "batch_size": 4},
}
PREDICT = ["predict", "unet", "photos/images", "--out", "predictions"]
MASK = ["mask", "photos/images", "--backbone", "pocket", "--class", "ball", "--out", "masks"]
EVALUATE = ["evaluate", "unet", "--benchmark", "folder=photos", "--out", "scores"]
EXPORT = ["export", "ds", "--format", "coco", "--version", "v1", "--out", "coco"]
OUTPUTS = {"predictions": "predictions.csv", "masks": "masks.csv"}
BOX = ["x0", "y0", "x1", "y1"]  # of the largest component there, of all pixels here

pytestmark = pytest.mark.slow


def train(name: str, epochs: int = 0) -> list[str]:
    """The command that trains a segmenter, for so many epochs more."""
    values = TRAIN[name] | {"epochs": TRAIN[name]["epochs"] + epochs}
    return [
        "train",
        name,
        "--data",
        "ds",
        "--run",
        name,
        *(w for k, v in values.items() for w in ("--set", f"{k}={v}")),
    ]


FIRST = [[*BUILD, "--count", "16"], *(train(name) for name in TRAIN), PREDICT, MASK, EVALUATE, EXPORT]
NOTHING_LEFT = [[*BUILD, "--count", "16"], PREDICT, MASK, EVALUATE]
CONTINUED = [
    *(train(name, 1) for name in TRAIN),
    ["predict", "unet", "photos/images", "--out", "later"],
    [*EXPORT, "--overwrite"],
    [*BUILD, "--count", "20"],
    ["recut", "ds", "--set", "cut.lambda=3"],
    ["report", "ds", "--compare", "v1"],
]


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of COMMIT."""
    archive = subprocess.run(["git", "archive", COMMIT], cwd=ROOT, capture_output=True)
    if archive.returncode:
        pytest.skip(f"commit {COMMIT} is not in this clone")
    folder = tmp_path_factory.mktemp("code")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as sources:
        sources.extractall(folder, filter="data")
    return folder


def succeeded(results: list[Result]) -> list[Result]:
    for result in results:
        assert result.code == 0, result
    return results


@pytest.fixture(scope="module")
def folders(old_code: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where the old code did FIRST, and where today's did."""
    old, new = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("new")
    for folder, code in ((old, old_code), (new, ROOT)):
        rendered_folder(folder / "photos", 3, seed=5)
        succeeded(run_all(code, folder, FIRST))
    return old, new


@pytest.fixture(scope="module")
def first(folders: tuple[Path, Path]) -> list[tuple[dict, dict]]:
    """What FIRST left in both, read before anything is continued: weights, pictures and tables by name."""
    return [(contents(old), contents(new)) for old, new in [folders]]


@pytest.fixture(scope="module")
def again(folders: tuple[Path, Path], first: object) -> list[Result]:
    """What today's code says to the old folders where nothing is left to do."""
    return succeeded(run_all(ROOT, folders[0], NOTHING_LEFT))


@pytest.fixture(scope="module")
def continued(folders: tuple[Path, Path], again: object) -> tuple[Path, Path]:
    """Both, after today's code went on in each."""
    for folder in folders:
        succeeded(run_all(ROOT, folder, CONTINUED))
    return folders


def contents(folder: Path) -> dict[str, object]:
    """Weights of the runs, bytes of the pictures, and tables without boxes and digests."""
    found: dict[str, object] = {}
    for name in TRAIN:
        found |= {f"{name}/{key}": value for key, value in load_file(folder / name / "best.safetensors").items()}
    for name, table in OUTPUTS.items():
        found |= {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / name).rglob("*.png"))}
        frame = pd.read_csv(folder / name / table, dtype=str, keep_default_na=False)
        columns = frame.columns.drop([*BOX, "made_from"], errors="ignore")
        found |= {f"{name}: {column}": frame[column].tolist() for column in columns}
    return found


def assert_same(old: dict[str, object], new: dict[str, object]) -> None:
    assert old.keys() <= new.keys()
    for name, value in old.items():
        np.testing.assert_array_equal(np.asarray(new[name]), np.asarray(value), err_msg=name)


def assert_same_dataset(old: Dataset, new: Dataset) -> None:
    """Every array of the older version but its boxes, and its table."""
    for name, array in old.group.arrays():
        if name != "box":
            np.testing.assert_array_equal(np.asarray(new.group[name][:]), np.asarray(array[:]), err_msg=name)
    columns = old.frame().columns.drop("box")
    pd.testing.assert_frame_equal(new.frame()[columns], old.frame()[columns])


def test_samples_and_masks_are_the_same_bit_for_bit(folders: tuple[Path, Path]) -> None:
    assert_same_dataset(*(open_dataset(folder / "ds", "v1") for folder in folders))


def test_weights_predictions_and_masks_of_photographs_are_the_same_bit_for_bit(first: list[tuple[dict, dict]]) -> None:
    ((old, new),) = first
    assert len(old) > 100
    assert_same(old, new)


@pytest.mark.parametrize("command", NOTHING_LEFT, ids=lambda command: command[0])
def test_what_the_old_code_finished_is_done(again: list[Result], command: list[str]) -> None:
    said = again[NOTHING_LEFT.index(command)].stdout
    done = "scored 0, before 3, failed 0" if command is EVALUATE else "Nothing is left to do"
    assert done in said


def test_what_the_old_code_began_goes_on_to_where_todays_does(continued: tuple[Path, Path]) -> None:
    old, new = continued
    assert_same(contents(old), contents(new))
    for name in TRAIN:
        steps = [len((folder / name / "log.jsonl").read_text().splitlines()) for folder in continued]
        assert steps[0] == steps[1], name
    for version in ("v2", "v3"):
        assert_same_dataset(*(open_dataset(folder / "ds", version) for folder in continued))
    later = [{p.name: p.read_bytes() for p in (folder / "later").rglob("*.png")} for folder in continued]
    assert later[0] == later[1] and len(later[0]) >= 6
