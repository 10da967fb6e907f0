"""Train a segmenter in its run folder: its samples' features once, then the training, resumed where it was."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from models.config.training import TrainConfig
from models.errors import UserError
from storage.runs.folder import RunFolder, open_run
from tasks.base import task

if TYPE_CHECKING:
    from models.training.schedule import Training
    from storage.runs.features import FeatureCache


@task(name="features")
def cache_features(run: Path) -> int:
    """Make and keep the features of the run's samples that are missing, saying first how much that is; their number.

    Of several processes each makes its share.
    """
    from models.segmenters.registry import segmenter_of
    from storage.runs.loader import sides_of

    folder = open_run(run)
    _, rank, processes = processes_of(folder)
    segmenter, size = segmenter_of(folder.config), folder.config.run.batch_size
    cache = cache_of(folder, segmenter)
    indices = np.sort(np.concatenate(sides_of(folder.data, folder.version, folder.config)))
    groups = [indices[start : start + size] for start in range(0, len(indices), size)]
    # A group is made anew as a whole: a sample's last bits depend on the batch it is in.
    todo = [group for group in groups[rank::processes] if cache.missing(group)]
    num_samples = sum(map(len, todo))
    cache.check_room(num_samples)
    room = num_samples * cache.bytes_per_sample / 2**20
    print(f"features of {num_samples} samples, {room:.0f} MiB, go to {cache.folder}", file=sys.stderr)
    with tqdm(total=num_samples, desc="features", unit="img") as bar:
        for group in todo:
            samples = samples_of(folder, segmenter, group)
            rows = [samples[i] for i in range(len(group))]
            layers = segmenter.features(np.stack([row["image"] for row in rows]), [row["category"] for row in rows])
            for i, row in enumerate(rows):
                cache.write(row["index"], [layer[i].cpu().numpy() for layer in layers])
            bar.update(len(group))
    return num_samples


@task(name="fit")
def fit_segmenter(run: Path) -> dict[str, float]:
    """Train the run's segmenter to its end; returns the steps done and the best validation score."""
    from models.segmenters.registry import segmenter_of
    from models.training.loop import Run, train
    from storage.runs.checkpoints import Log, load_state, save_checkpoint
    from storage.runs.loader import batches_in_epoch, training_batches

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
            validate=lambda _: validation_figures(segmenter, held_out, config.batch_size),
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


def training_of(config: TrainConfig, in_epoch: int) -> "Training":
    """The pace of a training whose epochs have so many batches; it validates after each epoch."""
    from models.training.schedule import Training

    steps = max(1, round(in_epoch / config.gradient_accumulation_steps))
    return Training(
        steps=config.epochs * steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_steps,
        lr_schedule=config.lr_schedule,
        epoch=steps,
        rates=config.rates(),
        ema=None,
        max_grad_norm=config.max_grad_norm,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        save_every=config.save_every,
        validate_every=steps,
        patience=config.patience,
    )


def datasets_of(folder: RunFolder, segmenter: Any) -> tuple[Any, Any]:
    """The run's samples for training and for validation, with their cached features where it has such."""
    from storage.runs.loader import sides_of

    cache = cache_of(folder, segmenter) if folder.config.caches_features() else None
    training, validation = sides_of(folder.data, folder.version, folder.config)
    return samples_of(folder, segmenter, training, cache), samples_of(folder, segmenter, validation, cache)


def samples_of(folder: RunFolder, segmenter: Any, indices: np.ndarray, cache: "FeatureCache | None" = None) -> Any:
    """Those of the run's samples, with their features where a cache has them, else with their images."""
    from storage.photos.folders import layout_of, open_folder
    from storage.runs.loader import FolderSamples, KeptSamples

    if layout := layout_of(folder.version):
        return FolderSamples(open_folder(layout, folder.data), indices, segmenter.size, cache)
    return KeptSamples(folder.data, folder.version, indices, cache)


def cache_of(folder: RunFolder, segmenter: Any) -> "FeatureCache":
    """The run's cache of features, keyed by what they follow from."""
    from storage.dataset.reader import open_dataset
    from storage.photos.folders import layout_of
    from storage.runs.features import FeatureCache

    own = folder.config.features() | {"weights": segmenter.weights_digest()}
    key = own | {"data": str(folder.data), "version": folder.version}
    size = segmenter.size if layout_of(folder.version) else open_dataset(folder.data, folder.version).image_size
    return FeatureCache(folder.path / "features", key, segmenter.feature_shapes(size))


def validation_figures(segmenter: Any, held_out: Any, batch_size: int) -> dict[str, float]:
    """The metrics that are quick to take over the validation samples; "score", the one to raise, is the mean IoU."""
    from models.metrics import acc, f_curve, iou, mae
    from models.training.loop import ADVICE
    from storage.runs.loader import all_batches

    rows, curves = [], []
    for batch in all_batches(held_out, batch_size):
        soft_masks = segmenter.soft_masks(batch)
        if not np.isfinite(soft_masks).all():
            raise UserError(f"training: a validation's masks have values that are no number; {ADVICE}")
        for soft, truth in zip(soft_masks, batch["mask"].numpy(), strict=True):
            rows.append([iou(soft, truth), acc(soft, truth), mae(soft, truth)])
            curves.append(f_curve(soft, truth))
    means = np.mean(rows, axis=0).tolist()
    f_max = float(np.mean(curves, axis=0).max())  # at one threshold for all
    return {"score": means[0], "iou": means[0], "acc": means[1], "mae": means[2], "f_max": f_max}
