"""A small published dataset whose names, prompts and masks are hard on formats, and an export of it without a flow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from models.config.export import ExportConfig
from storage.dataset import schema
from storage.dataset.reader import Dataset, open_dataset
from storage.dataset.shards import write_shard
from storage.dataset.writer import DatasetWriter
from storage.exports import format_of
from storage.exports.folder import ExportFolder
from storage.exports.writing import check_export, finish_export, write_block

SIZE, COUNT, SHARD = (24, 40), 25, 16
CLASSES = ["../../up", "a/b\\c", "<b>&amp;]]>", "- key: 'v' # \"x\" | |", "étoile 🌟 null"]
PROMPTS = [
    'a, "b"\r\n=1+1',
    "</name><script>alert(1)</script>",
    "| a | `b` [c](http://d)",
    "\x00\x1b[31m\x85\x07",
    "🌟",
]


def mask(index: int) -> np.ndarray:
    """Blobs with holes and of several parts; the first is empty, the second full, the third noise; then see below."""
    rng = np.random.default_rng(index)
    noise = rng.random(SIZE)
    rows, columns = np.indices(SIZE)
    to_border = np.minimum(np.minimum(rows, SIZE[0] - 1 - rows), np.minimum(columns, SIZE[1] - 1 - columns))
    special = {
        0: np.zeros(SIZE, bool),
        1: np.ones(SIZE, bool),
        2: noise > 0.5,
        3: (rows == SIZE[0] - 1) & (columns == SIZE[1] - 1),  # a pixel in the last corner
        5: to_border % 4 < 2,  # along all borders, then islands in holes in islands
        6: (rows + columns) % 2 == 0,  # pixels that touch at corners alone
        7: abs(rows - columns) < 1,  # a diagonal
    }
    return special.get(index, ndimage.gaussian_filter(noise, 1.5) > 0.5)


def write_dataset(path: Path, count: int = COUNT, config: dict[str, Any] | None = None) -> Dataset:
    """Samples 0 to count - 1 of which every fifth is rejected, published."""
    config = {"classes": CLASSES, "backbone": "b](x)<i>"} | (config or {}) | {"count": count}
    identity = {"classes": config["classes"]}
    with DatasetWriter.open(path, config, identity, SIZE, (3, 5), SHARD, count) as writer:
        for shard in range(schema.num_shards(count, SHARD)):
            rows = schema.shard_rows(shard, count, SHARD)
            indices = range(rows.start, rows.stop)
            rejected = np.array([i % 5 == 4 for i in indices])
            columns = {
                "category": [config["classes"][i % 7 % len(config["classes"])] for i in indices],
                "prompt": [PROMPTS[i % len(PROMPTS)] for i in indices],
                "seed": [2**62 + i for i in indices],
                "image": np.stack([np.random.default_rng(i).integers(0, 256, (*SIZE, 3), "u1") for i in indices]),
                "mask": np.stack([mask(i) for i in indices]),
                "box": np.tile(np.array([1, 2, 3, 4], "i4"), (len(indices), 1)),
                "affinities": np.random.default_rng(shard).random((len(indices), 4, 3, 5), "f4"),
                "clip_score": np.array(indices, "f4") / 100,
                "status": np.where(rejected, schema.REJECTED, schema.KEPT).astype("u1"),
                "reason": np.where(rejected, "too, small", ""),
            }
            fork = writer.fork()
            write_shard(fork, shard, columns)
            writer.commit(fork, f"shard {shard}")
        writer.publish("publish", {})
    return open_dataset(path)


def export(
    dataset: Dataset, out: Path, form: str, overwrite: bool = False, blocks: int | None = None, **more: Any
) -> Path:
    """What the flow does; as if killed after some blocks where their number is given."""
    config = ExportConfig(**{"format": form, "split": "0.7,0.2,0.1"} | more)
    plan = check_export(config, dataset.path, out, overwrite)
    folder = ExportFolder.at(out)
    with folder.begun(plan):
        for block in [block for block in plan.blocks(format_of(form).block) if not folder.is_done(block)][:blocks]:
            write_block(dataset.path, out, block)
        if blocks is None:
            finish_export(dataset.path, out, overwrite)
    return out


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Not to be changed."""
    return write_dataset(tmp_path_factory.mktemp("hard") / "n|a <b> me")
