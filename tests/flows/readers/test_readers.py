"""Each format by its real readers, at the pinned versions: classes, boxes and the pixels of every mask.

`pytest -m slow tests/flows/readers -s` prints the table of docs/exports.md at its end.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from maskmill.cli import app
from models.config.export import FORMATS
from models.cut.masks import box
from storage.dataset.reader import Dataset
from tests.flows.readers.drawn import CLASSES, write_drawn
from tests.flows.readers.environment import python_of_readers, read, versions

pytestmark = pytest.mark.slow
SPLIT = ("--split", "0.6,0.2,0.2")
RENAMED = {"voc": {"#1: a": "_1_ a"}}  # labelmap.txt has # and : for itself


@dataclass(frozen=True)
class Reading:
    """A format, with options of the export, and a reader of load.py; then the floors of what it must find.

    mean, least: of the IoU of all masks that it gives; mean is None if it gives none, and 1 means all of them. box:
    largest distance of a corner in pixels, None if it gives none. classes: whether it names them. count: of the 24
    samples. detected: what datumaro must take the format for by itself, among others.
    """

    form: str
    reader: str
    package: str
    count: int = 23  # the empty one has no instance
    mean: float | None = 1.0
    least: float = 0.0
    box: float | None = None
    classes: bool = True
    options: tuple[str, ...] = ()
    detected: str = ""

    @property
    def name(self) -> str:
        return " ".join((self.form, *self.options))


RLE = ("--masks", "rle")
READINGS = [
    Reading("coco", "pycocotools", "pycocotools", box=0),
    Reading("coco", "torchvision_coco", "torchvision", box=0),
    Reading("coco", "supervision_coco", "supervision", box=0, mean=0.85, least=0.33),
    Reading("coco", "datumaro_coco", "datumaro", count=24, box=0, detected="coco_instances"),
    Reading("coco", "datumaro_coco_instances", "datumaro", count=24, box=0),
    Reading("coco", "pycocotools", "pycocotools", box=0, options=RLE),
    Reading("coco", "torchvision_coco", "torchvision", box=0, options=RLE),
    Reading("coco", "supervision_coco", "supervision", box=0, options=RLE),
    Reading("coco", "datumaro_coco", "datumaro", count=24, box=0, detected="coco_instances", options=RLE),
    Reading("yolo", "ultralytics", "ultralytics", count=24, box=0.05, mean=0.99, least=0.95),
    Reading("yolo", "supervision_yolo", "supervision", box=0.05, mean=0.84, least=0.25),
    Reading("voc", "torchvision_voc", "torchvision", count=19, classes=False),
    Reading("voc", "supervision_voc", "supervision", mean=None, box=0),
    Reading("voc", "datumaro_voc", "datumaro", count=24, box=1, detected="voc"),
    Reading("voc", "datumaro_voc_segmentation", "datumaro", count=24),
    Reading("voc", "datumaro_voc_detection", "datumaro", count=24, mean=None, box=1),
    Reading("folders", "datasets_imagefolder", "datasets", count=24),
    Reading("semantic", "pillow_semantic", "pillow", count=24),
    Reading("webdataset", "webdataset", "webdataset", count=24),
    Reading("hf", "datasets_parquet", "datasets", count=24),
    Reading("zarr", "zarr", "zarr", count=24, box=0),
    Reading("cvat", "datumaro_cvat", "datumaro", count=24, detected="cvat"),
    Reading("labelstudio", "label_studio", "label-studio-sdk", count=24),
    *(Reading(form, "mlcroissant", "mlcroissant", count=24, mean=None) for form in FORMATS),
]


@pytest.fixture(scope="module")
def python() -> Path:
    return python_of_readers()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_drawn(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture(scope="module")
def exported(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An export by the command, made once for all its readers."""
    made: dict[str, Path] = {}

    def of(reading: Reading) -> Path:
        if reading.name not in made:
            out = tmp_path_factory.mktemp("exports") / reading.form
            command = ["export", str(data.path), "--format", reading.form, "--out", str(out), *SPLIT, *reading.options]
            done = CliRunner().invoke(app, command)
            assert done.exit_code == 0, done.output
            made[reading.name] = out
        return made[reading.name]

    return of


@pytest.fixture(scope="module")
def table() -> Any:
    """Rows of the table in docs/exports.md, printed at the end."""
    rows: list[str] = []
    yield rows
    print(
        "\n| format | reader | version | samples | classes | boxes within | mean IoU | least IoU |\n" + "|---" * 8 + "|"
    )
    print("\n".join(rows))


@dataclass(frozen=True)
class Found:
    """What a reader found, beside the dataset."""

    rows: list[dict[str, Any]]
    facts: dict[str, Any]
    ious: np.ndarray  # of the masks it gives
    distance: float | None  # largest of a box's corner, in pixels; None if it gives no box
    named: bool  # whether each sample has its class


def compared(found: dict[str, Any], masks: Any, data: Dataset, renamed: dict[str, str]) -> Found:
    """Every row beside its sample; renamed: what the format writes for names that it cannot hold."""
    ious, distances, named = [], [], True
    for row in found["rows"]:
        sample = data[row["index"]]
        if "category" in row or "label" in row:
            named &= row.get("category", sample.category) in (sample.category, renamed.get(sample.category))
            named &= row.get("label", CLASSES.index(sample.category)) in (CLASSES.index(sample.category), None)
        if f"{row['index']:06d}" in masks:
            mask = masks[f"{row['index']:06d}"]
            union = np.count_nonzero(mask | sample.mask)
            ious.append(np.count_nonzero(mask & sample.mask) / union if union else 1.0)
        if "box" in row:
            distances.append(np.abs(np.subtract(row["box"], box(sample.mask))).max())
    return Found(found["rows"], found["facts"], np.array(ious), max(distances, default=None), bool(named))


@pytest.mark.parametrize("reading", READINGS, ids=lambda each: f"{each.name}-{each.reader}")
def test_a_reader_finds_what_the_dataset_has(
    reading: Reading, python: Path, data: Dataset, exported: Any, table: list[str], tmp_path: Path
) -> None:
    raw = read(python, reading.reader, exported(reading), tmp_path / "found")
    found = compared(raw, np.load(tmp_path / "found" / "masks.npz"), data, RENAMED.get(reading.form, {}))
    mean, least = (found.ious.mean(), found.ious.min()) if len(found.ious) else (None, None)
    shown = ["–" if value is None else f"{value:.3g}" for value in (found.distance, mean, least)]
    classes = ("right" if found.named else "wrong") if reading.classes else "numbers"
    reader = reading.reader.removeprefix(reading.package).replace("_", " ").strip()
    table.append(
        f"| `{reading.name}` | {' '.join((reading.package, reader)).strip()} | {versions()[reading.package]} | "
        f"{len(found.rows)} | {classes} | {' | '.join(shown)} |"
    )
    print(table[-1], found.facts)
    assert len(found.rows) == len({row["index"] for row in found.rows}) == reading.count
    assert found.named
    assert not reading.detected or reading.detected in found.facts["detected"]
    assert all(value > 0.999999 for value in found.facts.get("precision", {}).values())
    assert found.facts.get("valid", True) and not found.facts.get("corrupt")
    assert (mean is None) == (reading.mean is None) and (found.distance is None) == (reading.box is None)
    assert mean is None or (mean >= reading.mean and least >= (1 if reading.mean == 1 else reading.least))
    assert found.distance is None or found.distance <= reading.box + 1e-4
