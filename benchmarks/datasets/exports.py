"""Time and size of each export of a dataset, compared with plainly writing its images and masks as PNG.

Knows nothing of an export's content: tests read every format back.
"""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

from PIL import Image

from flows.export import export
from models.config.export import ExportConfig
from storage.dataset.reader import Dataset, open_dataset
from storage.exports import FORMATS

SPLIT = "0.7,0.2,0.1"


def run(path: Path) -> dict[str, Any]:
    """Export the latest version of the dataset at `path` in every format; returns the table."""
    dataset = open_dataset(path)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        plain, size = cost(lambda out: write_plain(dataset, out), Path(folder) / "plain")
        for name in FORMATS:
            config = ExportConfig(format=name, split=SPLIT)
            seconds, megabytes = cost(partial(export, config, path), Path(folder) / name)
            rows.append([name, seconds, f"{seconds / plain:.1f}x", megabytes])
    rows.append(["Pillow, images and masks as PNG and nothing else", plain, "1.0x", size])
    note = (
        "Processor time, because other work on the machine makes the clock's longer. Of it, an export takes some for "
        "reading samples back from the store, for the table, the checksums and the starting of a server for its flow."
    )
    return {
        "count": len(dataset.kept()),
        "source": f"kept samples of {dataset.image_size[0]}x{dataset.image_size[1]} pixels, split {SPLIT}",
        "tables": [
            {
                "title": "Writing exports",
                "columns": ["format", "seconds of processor time", "against Pillow", "MB"],
                "rows": rows,
                "note": note,
            }
        ],
        "verdicts": {},
    }


def cost(write: Callable[[Path], Any], out: Path) -> tuple[float, float]:
    """Processor seconds that `write` takes to fill the folder, and its size in MB."""
    before = process_time()
    write(out)
    seconds = process_time() - before
    return seconds, sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6


def write_plain(dataset: Dataset, out: Path) -> None:
    """Every kept sample's image and mask, as Pillow writes them."""
    os.makedirs(out)
    for index in dataset.kept().tolist():
        sample = dataset[index]
        Image.fromarray(sample.image).save(out / f"{index}.png")
        Image.fromarray(sample.mask).save(out / f"{index}-mask.png")
