"""A dataset of drawn masks that are hard on formats: holes, parts, thin rings, corners, borders, nothing; odd names."""

from pathlib import Path

import numpy as np

from storage.dataset import schema
from storage.dataset.reader import Dataset, open_dataset
from storage.dataset.shards import write_shard
from storage.dataset.writer import DatasetWriter

SIZE, SHARD = (96, 128), 16
CLASSES = ["cat", "null", "T-shirt/top", "#1: a", "étoile"]
ROWS, COLUMNS = np.indices(SIZE)


def disc(row: float, column: float, radius: float) -> np.ndarray:
    return np.asarray((ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2)


def wavy(seed: int) -> np.ndarray:
    """A blob whose outline is a sum of waves, as a cut's is."""
    rng = np.random.default_rng(seed)
    angle = np.arctan2(ROWS - 48, COLUMNS - 64)
    waves = sum(rng.uniform(1, 4) * np.sin(k * angle + rng.uniform(0, 6)) for k in range(2, 9))
    return np.asarray(np.hypot(ROWS - 48, COLUMNS - 64) <= 28 + waves)


SHAPES = {
    "a disc": disc(48, 64, 30),
    "a ring": disc(48, 64, 30) & ~disc(48, 64, 18),
    "a thin ring": disc(48, 64, 30) & ~disc(48, 64, 28),
    "two parts": disc(30, 30, 18) | disc(66, 96, 20),
    "many parts": np.asarray((ROWS % 24 < 14) & (COLUMNS % 32 < 20)),
    "many holes": disc(48, 64, 44) & ~((ROWS % 16 < 6) & (COLUMNS % 16 < 6)),
    "a ring in a ring": (disc(48, 64, 44) & ~disc(48, 64, 36)) | (disc(48, 64, 26) & ~disc(48, 64, 12)),
    "parts that touch at corners": np.asarray((ROWS // 12 + COLUMNS // 12) % 2 == 0) & disc(48, 64, 40),
    "at the border": disc(0, 0, 50) | disc(95, 127, 30),
    "a frame": np.asarray((ROWS < 8) | (ROWS >= 88) | (COLUMNS < 8) | (COLUMNS >= 120)),
    "all": np.ones(SIZE, dtype=bool),
    "a pixel": np.asarray((ROWS == 40) & (COLUMNS == 50)),
    "a line": np.asarray((ROWS == 40) & (COLUMNS > 20) & (COLUMNS < 100)),
    "noise": np.random.default_rng(3).random(SIZE) > 0.6,
    "nothing": np.zeros(SIZE, dtype=bool),
} | {f"a blob {seed}": wavy(seed) for seed in range(9)}
MASKS = list(SHAPES.values())


def write_drawn(path: Path) -> Dataset:
    """A published dataset with a sample for each shape, all kept, the classes in turn."""
    count = len(MASKS)
    config = {"classes": CLASSES, "backbone": "drawn", "count": count}
    with DatasetWriter.open(path, config, {"classes": CLASSES}, SIZE, (3, 4), SHARD, count) as writer:
        for shard in range(schema.num_shards(count, SHARD)):
            rows = schema.shard_rows(shard, count, SHARD)
            indices = range(rows.start, rows.stop)
            fork = writer.fork()
            columns = {
                "category": [CLASSES[i % len(CLASSES)] for i in indices],
                "prompt": [f"a photo, no {i}" for i in indices],
                "seed": list(indices),
                "image": np.stack([picture(i) for i in indices]),
                "mask": np.stack([MASKS[i] for i in indices]),
                "status": np.full(len(indices), schema.KEPT, "u1"),
            }
            write_shard(fork, shard, columns)
            writer.commit(fork, f"shard {shard}")
        writer.publish("publish", {})
    return open_dataset(path)


def picture(index: int) -> np.ndarray:
    """A gradient and the shape, (H, W, 3) uint8."""
    colours = np.stack([ROWS * 2, COLUMNS, np.full(SIZE, 10 * index)], axis=-1)
    return np.asarray(np.where(MASKS[index][..., None], 255 - colours, colours), dtype=np.uint8)
