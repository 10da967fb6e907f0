"""A published dataset of pocket's rendered scenes with their exact masks: what training reads, without a build.

Run as a script it writes one: `rendered.py PATH COUNT SEED`.
"""

import sys
from pathlib import Path

import numpy as np

from models.pocket.scenes import SIZE, render
from storage import schema
from storage.shards import write_shard
from storage.writer import DatasetWriter

SHARD = 8


def rendered_dataset(path: Path, count: int, seed: int = 5, rejected: tuple[int, ...] = ()) -> Path:
    """Scenes 0 to count - 1 of `seed` as v1; all kept but those rejected."""
    config = {"classes": ["scene"], "count": count, "seed": seed}
    with DatasetWriter.open(path, config, config, (SIZE, SIZE), (2, 2), SHARD, count) as writer:
        for shard in range(schema.num_shards(count, SHARD)):
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


if __name__ == "__main__":
    rendered_dataset(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
