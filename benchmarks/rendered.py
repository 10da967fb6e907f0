"""Rendered scenes with exact masks, as a published dataset and as a benchmark folder.

Run as a script it writes a dataset: `rendered.py PATH COUNT SEED`.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from models.pocket.scenes import SIZE, render
from storage.dataset import schema
from storage.dataset.shards import write_shard
from storage.dataset.writer import DatasetWriter

SHARD = 8


def rendered_dataset(path: Path, count: int, seed: int = 5, rejected: tuple[int, ...] = ()) -> Path:
    """Scenes 0 to count - 1 of `seed` as v1; all are kept except those rejected. Existing samples stay."""
    identity = {"classes": ["scene"], "seed": seed}
    config = identity | {"count": count}
    with DatasetWriter.open(path, config, identity, (SIZE, SIZE), (2, 2), SHARD, count) as writer:
        for shard in writer.pending("plan"):
            rows = range(count)[schema.shard_rows(shard, count, SHARD)]
            scenes = [render(seed, i) for i in rows]
            fork = writer.fork()
            write_shard(
                fork,
                shard,
                {
                    "image": np.stack([scene.image for scene in scenes]),
                    "mask": np.stack([scene.mask for scene in scenes]),
                    "category": [scene.category for scene in scenes],
                    "prompt": [scene.caption for scene in scenes],
                    "status": [schema.REJECTED if i in rejected else schema.KEPT for i in rows],
                },
            )
            writer.commit(fork, f"render {shard}")
        writer.publish("publish", {"planned": count})
    return path


def rendered_folder(path: Path, count: int, seed: int) -> Path:
    """Scenes 0 to count - 1 of `seed` as PNG files in images/ and masks/, the layout "folder"."""
    for i in range(count):
        scene = render(seed, i)
        for name, picture in (("images", scene.image), ("masks", scene.mask)):
            (path / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).convert("RGB" if name == "images" else "L").save(path / name / f"{i:04d}.png")
    return path


if __name__ == "__main__":
    rendered_dataset(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
