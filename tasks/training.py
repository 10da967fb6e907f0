"""Train a segmenter in its run folder: its samples' features once, then the training, resumed where it was."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from storage.runs.folder import RunFolder, open_run
from tasks.base import task

if TYPE_CHECKING:
    from models.segmenters.protocol import CachesFeatures, Segmenter
    from storage.runs.features import FeatureCache


@task(name="features")
def cache_features(run: Path) -> int:
    """Make and keep the features of the run's samples that are missing, saying first how much that is; their number.

    Of several processes each makes its share.
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
    # A group is made anew as a whole: a sample's last bits depend on the batch it is in.
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
    """Train the run's segmenter to its end; returns the steps done and the best validation score."""
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
        accelerator.wait_for_everyone()  # for the features that the others make
    segmenter = segmenter_of(config)
    samples, held_out = datasets_of(folder, segmenter)
    training = training_of(config, batches_in_epoch(len(samples), config.batch_size, processes))
    course = Run(segmenter.network, training, config.seed)
    if state := load_state(folder, segmenter.network):
        course.restore(state)

    def batches(start: int) -> Any:
        return training_batches(samples, config.batch_size, config.seed, start, rank=rank, processes=processes)

    with tqdm(total=training.steps, initial=course.step, desc=config.segmenter, unit="step", disable=rank > 0) as bar:

        def on_step(done: int, of: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.4f}", best=f"{course.best:.4f}", refresh=False)
            bar.update(done - bar.n)

        train(
            course,
            batches,
            segmenter.loss,
            lambda state, better: save_checkpoint(folder, state, better),
            validate=lambda _: validation_figures(segmenter, all_batches(held_out, config.batch_size)),
            log=Log(folder, course.step) if rank == 0 else None,
            on_step=on_step,
            accelerator=accelerator,
        )
    return {"steps": course.step, "score": course.best, "training": len(samples), "validation": len(held_out)}


def processes_of(folder: RunFolder) -> tuple[Any, int, int]:
    """accelerate's view of the processes, this one's number, and how many; comes before the networks are loaded.

    From here on 'cuda' is each process's own GPU.
    """
    from models.hardware import resolve_device
    from models.training.loop import several_processes

    accelerator = several_processes(resolve_device(folder.config.run.device))
    return (accelerator, accelerator.process_index, accelerator.num_processes) if accelerator else (None, 0, 1)


def datasets_of(folder: RunFolder, segmenter: "Segmenter") -> tuple[Any, Any]:
    """The run's samples for training and for validation, with their cached features where it has such."""
    from storage.runs.loader import samples_of, sides_of

    cache = cache_of(folder, caching(segmenter)) if folder.config.caches_features() else None
    training, validation = (
        samples_of(folder.source, side, segmenter.size, cache) for side in sides_of(folder.source, folder.config)
    )
    return training, validation


def caching(segmenter: "Segmenter") -> "CachesFeatures":
    """The segmenter of a configuration that says it `caches_features`, as one that does."""
    from models.segmenters.protocol import CachesFeatures

    assert isinstance(segmenter, CachesFeatures), type(segmenter)
    return segmenter


def cache_of(folder: RunFolder, segmenter: "CachesFeatures") -> "FeatureCache":
    """The run's cache of features, keyed by what they follow from."""
    from storage.runs.features import FeatureCache

    key = folder.config.features() | {"weights": segmenter.weights_digest()} | folder.source.identity()
    shapes = segmenter.feature_shapes(folder.source.image_size() or segmenter.size)
    return FeatureCache(folder.path / "features", key, shapes)
