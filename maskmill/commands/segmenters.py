"""Commands that train segmenters and use them: train, predict, evaluate."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from maskmill.commands.options import Assignments, ConfigFile, named_folder
from maskmill.failures import checked, running
from models.errors import UserError, encodable
from models.segmenters.registry import segmenter_names


def train(
    segmenter: Annotated[str, typer.Argument(help=f"{segmenter_names()}.")],
    run: Annotated[Path, typer.Option(help="Folder of the run: configuration, features, weights, log.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the dataset.")] = None,
    folder: Annotated[str | None, typer.Option(help="Photos and masks instead of --data, as in DUTS-TR=DIR.")] = None,
    version: Annotated[str | None, typer.Option(help="Version to train on; the latest when absent.")] = None,
    check: Annotated[
        Literal["full", "headers"] | None,
        typer.Option(
            help="Decode all pictures of --folder first, or read their headers; full below 20,000 when absent."
        ),
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Train a segmenter on the kept samples of a dataset. Run it again to resume, or with more epochs to continue.

    All but diffusionseg can also train on a benchmark's folder; docs/benchmark-folders.md describes the layouts.
    """
    from models.config.overrides import resolve
    from models.segmenters.registry import SEGMENTERS

    with checked():
        if segmenter not in SEGMENTERS:
            raise UserError(f"segmenter: expected one of {', '.join(SEGMENTERS)}, got {segmenter!r}")
        resolved = resolve(SEGMENTERS[segmenter], config, {}, assignments)
        from flows.checks.segmenters import check_train
        from flows.train import train as run_train
        from maskmill.commands.notes import say
        from storage.photos.notes import NOTES_FILE
        from storage.sources import Source

        if data is not None and folder is None:
            source = Source(path=data, version=version)
        elif folder is not None and data is None and version is None:
            layout, path = named_folder("--folder", folder)
            source = Source(path=path, layout=layout)
        else:
            raise UserError("expected either --data, with or without --version, or --folder alone; give one of the two")
        if check is not None and folder is None:
            raise UserError(f"--check {check}: is for the pictures of --folder; leave it out")
        check_train(resolved, source, run, check)
        say(source.notes(), str(folder), run / NOTES_FILE)
    with running():
        record = run_train(resolved, source, run)
        void = f"\nvoid      {record.void:,} pixels of the training masks, not judged, left out" if record.void else ""
        typer.echo(
            f"run       {record.run}\n"
            f"trained   {resolved.label()}, on {record.training} samples of {encodable(str(source.path))} "
            f"{record.version}, {record.steps} steps\n"
            f"IoU       {record.score:.4f} on {record.validation} held-out samples, against their own masks{void}"
        )


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders with photos directly in them.")],
    out: Annotated[Path, typer.Option(help="Folder of the masks, soft masks and predictions.csv.")],
    category: Annotated[str | None, typer.Option("--class", help="Class of all photos, instead of CLIP's.")] = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Predict photographs' masks and boxes with a trained segmenter. Run it again to predict only the missing photos.

    A photo is resized to the size of the training images (diffusionseg: to about the backbone's native area); its mask
    has the photo's native size. --set changes fields that only predictions depend on, such as tta or bilateral, and
    run.
    """
    with checked():
        from flows.checks.segmenters import check_predict
        from flows.predict import predict as run_predict
        from maskmill.commands.notes import say
        from models.config.overrides import parse_overrides
        from storage.photos.notes import Notes

        overrides = parse_overrides(assignments)
        files, todo, _ = check_predict(run, photos, out, category, overrides, left_out := Notes())
        say(left_out, "photos")
        if not todo:
            typer.echo(f"Nothing is left to do: {len(files)} photos are predicted in {out}")
            return
    with running():
        record = run_predict(run, photos, out, category, overrides)
        typer.echo(f"predicted {record.made}, before {record.kept}, failed {record.failed}\n{record.table}")
    if record.failed:
        raise typer.Exit(1)


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Folders of trained runs, with distinct names.")],
    benchmark: Annotated[list[str], typer.Option(help="A set and its folder, as in ECSSD=DIR; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder of the scores, tables, predictions and report.")],
    worst: Annotated[int, typer.Option(min=0, help="Number of images with the lowest IoU in the report.")] = 12,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Score trained segmenters on benchmarks and compare them. Run it again to score only the missing images.

    Predictions are resized to the ground truth's native size. docs/benchmark-folders.md describes the sets' layouts.
    --set changes fields that only predictions depend on, as for `predict`, for the runs that have them.
    """
    with checked():
        named = [named_folder("--benchmark", text) for text in benchmark]
        if len(benchmarks := dict(named)) < len(named):
            raise UserError("--benchmark: expected each set once; evaluate the other folder with another --out")
        from flows.checks.segmenters import check_evaluate
        from flows.evaluate import evaluate as run_evaluate
        from maskmill.commands.notes import say
        from models.config.overrides import parse_overrides
        from storage.photos.folders import open_folder
        from storage.photos.notes import NOTES_FILE

        overrides = parse_overrides(assignments)
        check_evaluate(runs, benchmarks, out, overrides)
        for layout, data in benchmarks.items():
            say(open_folder(layout, data).notes, layout, out / "scores" / "RUN" / layout / NOTES_FILE)
    with running():
        record = run_evaluate(runs, benchmarks, out, worst, overrides)
        typer.echo((out / "comparison.md").read_text(encoding="utf-8"))
        typer.echo(f"scored {record.made}, before {record.kept}, failed {record.failed}\n{record.report}")
    if record.failed:
        raise typer.Exit(1)
