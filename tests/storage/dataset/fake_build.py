"""A build whose sampling and cutting are arithmetic: what a flow does with the store, without the mathematics.

Run as a script it is a builder to be killed: `fake_build.py PATH COUNT POINT`, see `die_at`.
"""

import os
import signal
import sys
from pathlib import Path

import icechunk
import numpy as np

from storage.dataset import schema
from storage.dataset.shards import read_shard, write_shard
from storage.dataset.writer import DatasetWriter

IMAGE, GRID, SHARD = (16, 24), (2, 3), 4


def config(count: int, **cut: float) -> dict:
    """What a BuildConfig of `count` samples dumps to, in small."""
    return {
        "classes": ["ball", "étoile"],
        "count": count,
        "seed": 7,
        "cut": {"alpha": 2.5} | cut,
        "run": {"workers": 0},
    }


def identity(of: dict) -> dict:
    return {key: value for key, value in of.items() if key not in ("count", "run")}


def open_writer(path: Path, count: int, **cut: float) -> DatasetWriter:
    whole = config(count, **cut)
    return DatasetWriter.open(path, whole, identity(whole), IMAGE, GRID, SHARD, count)


def random_rows(index: int, stage: int, specs: dict[str, schema.ArraySpec]) -> dict[str, np.ndarray]:
    """One sample's arrays, from its index alone."""
    rng = np.random.default_rng([7, index, stage])
    return {name: np.asarray(rng.integers(0, 2, spec.shape), dtype=spec.dtype) for name, spec in specs.items()}


def sampled(index: int) -> dict[str, np.ndarray]:
    specs = schema.array_specs(IMAGE, GRID)
    return random_rows(index, 1, {name: specs[name] for name in ("image", "class_map", "refined", "affinities")})


def solved(index: int, alpha: float) -> dict[str, np.ndarray]:
    names = ("mask", "objectness", "uncertainty", "energy", "area", "box", "num_clamped", "bilateral_refused")
    specs = schema.array_specs(IMAGE, GRID)
    return random_rows(index, int(10 * alpha), {name: specs[name] for name in names})


def stacked(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def plan_shard(session: icechunk.Session, shard: int) -> None:
    prompts = read_shard(session, shard, ["prompt"])["prompt"]
    indices = shard * SHARD + np.flatnonzero(prompts == "")
    columns = {
        "category": [("ball", "étoile")[i % 2] for i in indices],
        "prompt": [f"une étoile n° {i} 🌟\nau soir" for i in indices],
        "seed": indices * 31,
    }
    write_shard(session, shard, columns, rows=indices - shard * SHARD)


def work_shard(session: icechunk.Session, shard: int, stage: str, alpha: float = 2.5) -> None:
    """Do one stage for the samples of a shard that need it."""
    if stage == "plan":
        plan_shard(session, shard)
        return
    from_code, to_code = {"sample": (0, 1), "cut": (1, 2), "screen": (2, 3)}[stage]
    rows = np.flatnonzero(read_shard(session, shard, ["status"])["status"] == from_code)
    indices = shard * SHARD + rows
    status = np.full(len(rows), to_code)
    columns: dict[str, np.ndarray] = {}
    if stage == "sample":
        columns = stacked([sampled(i) for i in indices])
        status[indices == 3] = schema.FAILED
    elif stage == "cut":
        columns = stacked([solved(i, alpha) for i in indices])
    else:
        status[indices % 5 == 1] = schema.REJECTED
        columns = {"reason": np.where(indices % 5 == 1, "too small", ""), "clip_score": indices / 100}
    write_shard(session, shard, columns | {"status": status}, rows=rows)


def finish(writer: DatasetWriter, alpha: float = 2.5) -> str:
    """Do all that is left, a commit a shard, and publish."""
    for stage in ("plan", "sample", "cut", "screen"):
        for shard in writer.pending(stage):
            fork = writer.fork()
            work_shard(fork, shard, stage, alpha)
            writer.commit(fork, f"{stage} {shard}")
    return writer.publish("publish", {"planned": writer.count})


def die_at(point: str) -> None:
    """Arrange for SIGKILL at "NAME:n": just before the n-th call of a method of the store, or of the writer."""
    name, nth = point.split(":")
    owner = next(kind for kind in (icechunk.Repository, icechunk.Session, DatasetWriter, Path) if name in vars(kind))
    original, calls = getattr(owner, name), []

    def deadly(*args: object, **kwargs: object) -> object:
        calls.append(name)
        if len(calls) == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, name, deadly)


if __name__ == "__main__":
    die_at(sys.argv[3])
    with open_writer(Path(sys.argv[1]), int(sys.argv[2])) as doomed:
        finish(doomed)
