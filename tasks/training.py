"""Train a segmenter in its run folder: cache its samples' features, then start or resume the training."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from storage.runs.folder import RunFolder, open_run
from tasks.base import task

if TYPE_CHECKING:
    from models.segmenters.protocol import Batch, CachesFeatures, Segmenter
    from storage.runs.features import FeatureCache


@task(name="features")
def cache_features(run: Path) -> int:
    """Compute and store the missing features of the run's samples; prints their size first, returns their number.

    Each of several processes computes its share. UserError if the disk has no room for them.
    """
    from models.segmenters.registry import segmenter_of
    from storage.runs.loader import samples_of, sides_of

    folder = open_run(run)
    _, rank, processes = processes_of(folder)
    segmenter, size = caching(segmenter_of(folder.config)), folder.config.run.batch_size
    cache = cache_of(folder, segmenter)
    indices = np.sort(np.concatenate(sides_of(folder.source, folder.config)))
    samples = samples_of(folder.source, indices, segmenter.size)
    groups = [range(len(indices))[start : start + size] for start in range(0, len(indices), size)]
    # A group is computed again as a whole: a sample's last bits depend on its batch.
    todo = [group for group in groups[rank::processes] if cache.missing(indices[group.start : group.stop])]
    num_samples = sum(map(len, todo))
    cache.check_room(num_samples)
    room = num_samples * cache.bytes_per_sample / 2**20
    print(f"features of {num_samples} samples, {room:.0f} MiB, go to {cache.folder}", file=sys.stderr)
    with tqdm(total=num_samples, desc="features", unit="img") as bar:
        for group in todo:
            rows = [samples[i] for i in group]
            layers = segmenter.features(np.stack([row["image"] for row in rows]), [row["category"] for row in rows])
            for i, row in enumerate(rows):
                cache.write(row["index"], [layer[i].cpu().numpy() for layer in layers])
            bar.update(len(group))
    return num_samples


@task(name="fit")
def fit_segmenter(run: Path) -> dict[str, float]:
    """Train the run's segmenter to its end; returns the steps done, the best validation score and numbers of samples.

    "void" is the number of pixels that are not judged, in the training masks that this process read.
    """
    from models.segmenters.judged import void_of
    from models.segmenters.registry import segmenter_of
    from models.segmenters.validation import validation_figures
    from models.training.loop import Run, train
    from models.training.schedule import training_of
    from storage.runs.checkpoints import Log, load_state, save_checkpoint
    from storage.runs.loader import all_batches, batches_in_epoch, training_batches

    folder = open_run(run)
    config = folder.config
    accelerator, rank, processes = processes_of(folder)
    if accelerator is not None:
        accelerator.wait_for_everyone()  # until the other processes have written their features
    segmenter = segmenter_of(config)
    samples, held_out = datasets_of(folder, segmenter)
    training = training_of(config, batches_in_epoch(len(samples), config.batch_size, processes))
    training_run = Run(segmenter.network, training, config.seed)
    if state := load_state(folder, segmenter.network):
        training_run.restore(state)

    num_void: dict[int, int] = {}  # pixels of each sample

    def batches(start: int) -> Iterator["Batch"]:
        for batch in training_batches(samples, config.batch_size, config.seed, start, rank=rank, processes=processes):
            if (void := void_of(batch)) is not None:
                num_void.update(zip(batch["index"].tolist(), void.flatten(1).sum(1).tolist(), strict=True))
            yield batch

    with tqdm(
        total=training.steps, initial=training_run.step, desc=config.segmenter, unit="step", disable=rank > 0
    ) as bar:

        def on_step(done: int, of: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.4f}", best=f"{training_run.best:.4f}", refresh=False)
            bar.update(done - bar.n)

        train(
            training_run,
            batches,
            segmenter.loss,
            lambda state, better: save_checkpoint(folder, state, better),
            validate=lambda _: validation_figures(segmenter, all_batches(held_out, config.batch_size)),
            log=Log(folder, training_run.step) if rank == 0 else None,
            on_step=on_step,
            accelerator=accelerator,
        )
    return {
        "steps": training_run.step,
        "score": training_run.best,
        "training": len(samples),
        "validation": len(held_out),
        "void": sum(num_void.values()),
    }


def processes_of(folder: RunFolder) -> tuple[Any, int, int]:
    """The accelerator (None for one process), this process's rank, and the number of processes.

    Call it before networks are loaded: from here on 'cuda' is the GPU of each process.
    """
    from models.hardware import resolve_device
    from models.training.loop import several_processes

    accelerator = several_processes(resolve_device(folder.config.run.device))
    return (accelerator, accelerator.process_index, accelerator.num_processes) if accelerator else (None, 0, 1)


def datasets_of(folder: RunFolder, segmenter: "Segmenter") -> tuple[Any, Any]:
    """The run's samples for training and for validation, with cached features if the configuration caches them."""
    from storage.runs.loader import samples_of, sides_of

    cache = cache_of(folder, caching(segmenter)) if folder.config.caches_features() else None
    training, validation = (
        samples_of(folder.source, side, segmenter.size, cache) for side in sides_of(folder.source, folder.config)
    )
    return training, validation


def caching(segmenter: "Segmenter") -> "CachesFeatures":
    """The segmenter, checked to implement `CachesFeatures`, as its configuration's `caches_features` says."""
    from models.segmenters.protocol import CachesFeatures

    assert isinstance(segmenter, CachesFeatures), type(segmenter)
    return segmenter


def cache_of(folder: RunFolder, segmenter: "CachesFeatures") -> "FeatureCache":
    """The run's cache of features, with the values that determine them as its key."""
    from storage.runs.features import FeatureCache

    key = folder.config.features() | {"weights": segmenter.weights_digest()} | folder.data_identity()
    shapes = segmenter.feature_shapes(folder.source.image_size() or segmenter.size)
    return FeatureCache(folder.path / "features", key, shapes)
