"""Score a run on a benchmark, and compare runs: read, predict, score, write."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from models.errors import UserError, encodable
from storage.photos.folders import Benchmark, open_folder
from storage.photos.notes import NOTES_FILE
from storage.results.scores import SHARD, Scored, ScoreFolder, digest_of, table
from storage.runs.folder import RunFolder, open_run, weights_facts
from tasks.base import task
from tasks.predicting import fault_of

if TYPE_CHECKING:
    from analysis.evaluation import Evaluation
    from models.segmenters.protocol import Segmenter


@task(name="score")
def score_images(
    run: Path, layout: str, data: Path, out: Path, overrides: dict[str, Any] | None = None
) -> dict[str, int]:
    """Score the benchmark's images that are not scored yet; returns how many were made now, kept, and failed."""
    from storage.runs.checkpoints import load_run

    pairs, folder = open_folder(layout, data), open_run(run, overrides)
    scores = score_folder(out, run, layout, overrides)
    pairs.notes.write(scores.path / NOTES_FILE)
    identity = weights_facts(folder) | folder.data_identity()
    before = {row.name: row for row in scores.read(pairs)}
    counts, segmenter, batch = {"made": 0, "kept": 0, "failed": 0}, None, folder.config.run.batch_size
    with tqdm(total=len(pairs), desc=f"{scores.path.parent.name} on {layout}", unit="img") as bar:
        for shard, start in enumerate(range(0, len(pairs), SHARD)):
            images = range(start, min(start + SHARD, len(pairs)))
            digests = {i: digest_of(pairs, i, identity) for i in images}
            known = {i: before[pairs.labels[i]] for i in images if pairs.labels[i] in before}
            rows = {i: row for i, row in known.items() if is_done(row, digests[i], scores)}
            counts["kept"] += len(rows)
            bar.update(len(rows))
            if todo := [i for i in images if i not in rows]:
                segmenter = segmenter or load_run(folder)
                for part in (todo[first : first + batch] for first in range(0, len(todo), batch)):
                    rows |= score_batch(segmenter, pairs, part, digests, scores)
                    bar.update(len(part))
            # Also if files were added or removed, so that each name is in the table of one shard only.
            if todo or [row.name for row in scores.read_shard(shard)] != [pairs.labels[i] for i in images]:
                scores.write(shard, [rows[i] for i in images])
            failed = [rows[i].error for i in todo if rows[i].error]
            counts["made"] += len(todo) - len(failed)
            counts["failed"] += len(failed)
            for error in failed:
                bar.write(f"maskmill: {error}", file=sys.stderr)
    return counts


def score_folder(out: Path, run: Path, layout: str, overrides: dict[str, Any] | None = None) -> ScoreFolder:
    """The folder of a run's scores on a benchmark, below an evaluation's folder; it differs by the overrides."""
    return ScoreFolder(out / "scores" / name_of(run, overrides) / layout)


def name_of(run: Path, overrides: dict[str, Any] | None = None) -> str:
    """A run's name in an evaluation: the name of its folder, and the overrides of its predictions."""
    changed = {name: value for name, value in sorted((overrides or {}).items()) if name != "run"}
    return " ".join([run.resolve().name, *(f"{name}={value}" for name, value in changed.items())])


def is_done(row: Scored, digest: str, scores: ScoreFolder) -> bool:
    """Whether the row has no error and this digest, and its prediction exists."""
    return not row.error and row.made_from == digest and scores.prediction_path(row.name).exists()


def score_batch(
    segmenter: "Segmenter", pairs: Benchmark, images: list[int], digests: dict[int, str], scores: ScoreFolder
) -> dict[int, Scored]:
    """Predict and score a few images; the row of an unreadable image has the error."""
    from models.metrics import BoxScores, MaskScores

    readable, rows = {}, {}
    for i in images:
        try:
            readable[i] = pairs.judged_pair(i)
        except (UserError, OSError) as error:
            rows[i] = Scored(pairs.labels[i], str(pairs.photos[i]), error=str(error))
    soft_masks = segmenter.predict([photo for photo, *_ in readable.values()]) if readable else []
    for (i, (_, truth, void)), soft in zip(readable.items(), soft_masks, strict=True):
        if fault := fault_of(pairs.photos[i], soft):
            rows[i] = Scored(pairs.labels[i], str(pairs.photos[i]), error=fault)
            continue
        if pairs.has_boxes:
            figures, curves = BoxScores().add(soft, truth), {}
        else:
            of_image = MaskScores()
            figures, curves = of_image.add(soft, truth, void), of_image.curves
        scores.write_prediction(pairs.labels[i], soft)
        num_void = 0 if void is None else int(void.sum())
        rows[i] = Scored(pairs.labels[i], str(pairs.photos[i]), "", digests[i], figures, curves, num_void)
    return rows


@task(name="compare")
def compare_runs(runs: list[tuple[Path, dict[str, Any]]], benchmarks: dict[str, Path], out: Path, worst: int) -> Path:
    """Write the tables over all runs and benchmarks, images.parquet, and the report; returns the path of its page.

    runs: folders, each with the overrides of its predictions (`storage.runs.folder.open_run`).
    """
    from analysis.evaluation import write_comparison

    evaluations = [
        evaluation_of(run, name, data, out, overrides) for name, data in benchmarks.items() for run, overrides in runs
    ]
    return write_comparison(evaluations, out, worst)


def evaluation_of(
    run: Path, layout: str, data: Path, out: Path, overrides: dict[str, Any] | None = None
) -> "Evaluation":
    """The data of one run on one benchmark for the comparison."""
    from analysis.evaluation import Evaluation

    folder, pairs = open_run(run, overrides), open_folder(layout, data)
    scores = score_folder(out, run, layout, overrides)
    rows = scores.read(pairs)
    return Evaluation(
        run=name_of(run, overrides),
        segmenter=folder.config.label(),
        trained_on=f"{encodable(folder.source.path.name)} {folder.source.edition()}",
        training=folder.training,
        choices=choices_of(folder),
        benchmark=layout,
        pairs=pairs,
        scores=scores,
        images=table(rows),
        summary=summary_of(rows, pairs.has_boxes),
    )


def choices_of(folder: RunFolder) -> str:
    """A run's configuration and training data, except its number of samples, as JSON."""
    values = {name: value for name, value in folder.config.predicts_by().items() if name != "limit"}
    return json.dumps(values | folder.data_identity(), sort_keys=True)


def summary_of(rows: list[Scored], has_boxes: bool) -> dict[str, float]:
    """The summary of the scored images, added in their order; empty if there are none."""
    from models.metrics import BoxScores, MaskScores

    scores = BoxScores() if has_boxes else MaskScores()
    for row in rows:
        if row.error:
            continue
        scores.count += 1
        for name, figure in row.figures.items():
            scores.sums[name] = scores.sums.get(name, 0.0) + figure
        if isinstance(scores, MaskScores):
            for name, curve in row.curves.items():
                scores.curves[name] = scores.curves.get(name, 0.0) + curve
    return scores.summary() if scores.count else {}
