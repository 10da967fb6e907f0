"""The command line: one command per flow, and info and bench. No logic of its own.

Exit codes: 0 done, 2 bad input (nothing was written), 1 a run that could not finish (it resumes).
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.errors import UserError

if TYPE_CHECKING:
    from storage.sources import Source

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Segmentation data without annotators.")

STOPPED = "maskmill: stopped; what is committed is kept, the same command goes on"

Out = Annotated[Path, typer.Option("--out", help="Folder of the dataset, under data/ by habit.")]
PathArgument = Annotated[Path, typer.Argument(help="Folder of a dataset.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML file; its fields are those of --set.")]
Assignments = Annotated[list[str], typer.Option("--set", help="One field, as in cut.alpha=1.0; may be repeated.")]


@contextmanager
def checked() -> Iterator[None]:
    """Around what is read and checked: what is refused leaves with 2 and one line, and nothing was written."""
    try:
        yield
    except (ValueError, OSError) as error:
        typer.echo(f"maskmill: {error}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def running() -> Iterator[None]:
    """Around a flow: whatever ends it leaves with 1 and one line; PREFECT_LOGGING_LEVEL=ERROR has Prefect say where."""
    from flows.server.temporary import end_server_with_us, stopping_at_signals

    try:
        with stopping_at_signals(STOPPED, temporary=end_server_with_us()):
            yield
    except KeyboardInterrupt:
        typer.echo(STOPPED, err=True)
        raise typer.Exit(1) from None
    except Exception as error:
        kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
        line = " ".join(f"{kind}{error}".split())
        # What is wrong with values stays wrong, and the line says what to do; all else may be over by the next time.
        after = "" if isinstance(error, ValueError) else ", the same command goes on"
        typer.echo(f"maskmill: broke off: {line}; what is committed is kept{after}", err=True)
        raise typer.Exit(1) from None


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"maskmill {installed_version('maskmill')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Segmentation data without annotators."""
    # Prefect reads these when it is imported. The server that it starts where none is configured can be slow to come;
    # an error it would log once for the task and once for each flow around it, with a traceback each.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


@app.command(
    epilog="Example: maskmill build --backbone pocket --classes ball,star --count 64 --seed 7 --out data/shapes"
)
def build(
    out: Out,
    backbone: Annotated[str | None, typer.Option(help="'pocket', a diffusers folder, or a hub id.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Names, as in ball,star; a .txt file; or imagenet-merged.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Planned number of samples; a larger one extends.")] = None,
    seed: Annotated[int | None, typer.Option(help="Dataset seed.")] = None,
    shard_size: Annotated[int | None, typer.Option(help="Samples worked on and committed together.")] = None,
    workers: Annotated[int | None, typer.Option(help="Dask processes for the cuts; 0 uses threads.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show plan, disk and memory; write nothing.")] = False,
) -> None:
    """Build a dataset of images and masks; run again, it resumes, and with a larger count it extends."""
    from models.config.build import BuildConfig
    from models.config.overrides import resolve

    with checked():
        options: dict[str, Any] = {"backbone": backbone, "count": count, "seed": seed, "shard_size": shard_size}
        options["classes"] = classes
        options["run"] = None if workers is None else {"workers": workers}
        resolved = resolve(BuildConfig, config, options, assignments)
        from flows.checks.build import describe, is_finished, load_screening, preflight

        plan = preflight(resolved, out)
        if dry_run or is_finished(plan):
            typer.echo("\n".join(describe(plan)) if dry_run else f"Nothing is left to do: {summary(out)}")
            return
        load_screening(resolved.screen.clip)
    with running():
        from flows.build import build as run_build

        record = run_build(plan.config, out)
        typer.echo(f"{summary(out)}\nreport    {record.report}")


@app.command(epilog="Example: maskmill info data/shapes --json")
def info(
    path: PathArgument,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
) -> None:
    """Versions, counts and reasons for rejection of a dataset."""
    from analysis.statistics import describe

    with checked():
        facts = describe(path)
        typer.echo(json.dumps(facts) if as_json else summary(path))


@app.command(epilog="Example: maskmill recut data/shapes --set cut.lambda=4 --set cut.neighbourhood=4")
def recut(path: PathArgument, assignments: Assignments = []) -> None:  # noqa: B006
    """Solve all masks again from the stored evidence, without the backbone, as a new version.

    Where a field of screen is all that changes the masks stay, and are screened by it.
    """
    from models.config.build import BuildConfig
    from models.config.overrides import resolve
    from storage.dataset.reader import open_dataset

    with checked():
        stored = BuildConfig.of_stored(open_dataset(path).config).model_dump(mode="json", by_alias=True)
        resolved = resolve(BuildConfig, None, stored, assignments)
        from flows.checks.build import load_screening
        from flows.recut import check_recut
        from flows.recut import recut as run_recut

        check_recut(resolved, path)
        load_screening(resolved.screen.clip)
    with running():
        record = run_recut(resolved, path)
        typer.echo(f"{summary(path)}\nreport    {record.report}")


@app.command(epilog="Example: maskmill report data/shapes --version v2 --compare v1")
def report(
    path: PathArgument,
    version: Annotated[str | None, typer.Option(help="Version to report on; the latest when absent.")] = None,
    compare: Annotated[str | None, typer.Option(help="Another version, to show what changed since.")] = None,
) -> None:
    """Write the report of a dataset again."""
    with checked():
        from flows.report import check_report
        from flows.report import report as run_report

        check_report(path, version, compare)
    with running():
        typer.echo(run_report(path, version, compare))


@app.command(epilog="Example: maskmill statistics data/shapes --reference DUTS-TR=photos/DUTS-TR --out statistics")
def statistics(
    data: Annotated[str, typer.Argument(help="Folder of a dataset; or photos and masks, as DUTS-TR=DIR.")],
    out: Annotated[Path, typer.Option(help="Folder of the tables, figures and page.")],
    reference: Annotated[str | None, typer.Option(help="What to compare with, named in the same way.")] = None,
    version: Annotated[str | None, typer.Option(help="Version of the dataset; the latest when absent.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Describe images and masks, contrast, size, place, shape, and lay them beside real ones; docs/statistics.md."""
    from models.config.overrides import resolve
    from models.config.statistics import StatisticsConfig

    with checked():
        resolved = resolve(StatisticsConfig, config, {}, assignments)
        subject = source_of("DATA", data, version)
        other = None if reference is None else source_of("--reference", reference, None)
        from flows.statistics import check_statistics
        from flows.statistics import statistics as run_statistics

        check_statistics(subject, other, out)
    with running():
        record = run_statistics(resolved, subject, out, other)
        typer.echo((out / "comparison.md").read_text(encoding="utf-8"))
        typer.echo(f"measured {record.measured}, failed {record.failed}\n{record.report}")
    if record.failed:
        raise typer.Exit(1)


@app.command(epilog="Example: maskmill export data/shapes --format coco --split 0.7,0.2,0.1 --out exports/coco")
def export(
    path: PathArgument,
    form: Annotated[str, typer.Option("--format", help="coco, yolo, voc, folders, webdataset, hf or zarr.")],
    out: Annotated[Path, typer.Option(help="Folder of the export.")],
    version: Annotated[str | None, typer.Option(help="Version to export; the latest when absent.")] = None,
    split: Annotated[str | None, typer.Option(help="Shares, as 0.7,0.2,0.1 or train=0.9,val=0.1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the splits.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export that is unchanged.")
    ] = False,
) -> None:
    """Export the kept samples of a version for other tools; run again after a kill, it goes on.

    docs/exports.md says how each format lies on disk, how to load it and what it loses.
    """
    from models.config.export import ExportConfig
    from models.config.overrides import resolve

    with checked():
        resolved = resolve(ExportConfig, None, {"format": form, "version": version, "split": split, "seed": seed}, [])
        from flows.export import check_export
        from flows.export import export as run_export

        check_export(resolved, path, out, overwrite)
    with running():
        record = run_export(resolved, path, out, overwrite)
        samples = ", ".join(f"{count} {name}" for name, count in record.samples.items())
        counts = "".join(f"\nnote      {count} {what}" for what, count in record.counts.items() if count)
        typer.echo(f"exported  {path} {record.version}\nsamples   {samples}{counts}\nto        {out}")


@app.command(epilog="Example: maskmill mask photos/ --backbone CompVis/stable-diffusion-v1-4 --class dog --out masks")
def mask(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders with photos directly in them.")],
    out: Annotated[Path, typer.Option(help="Folder of the masks, soft maps, overlays and masks.csv.")] = Path("masks"),
    backbone: Annotated[str | None, typer.Option(help="'pocket', a diffusers folder, or a hub id.")] = None,
    category: Annotated[str | None, typer.Option("--class", help="What all photos show; CLIP is not asked.")] = None,
    no_prior: Annotated[bool, typer.Option("--no-prior", help="Name no class: the empty prompt.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Mask the main object of photographs; run again, it does what is missing.

    A photo goes to the backbone at about the backbone's own area, and is cut at its own size; where its longer side
    passes 2048 pixels it is cut with 2048 there, and the mask enlarged to the nearest pixel (overlays stay at 2048).
    Masks made under another config, or of a file that has changed since, are made again.
    """
    from models.config.overrides import resolve
    from models.config.photos import MaskConfig

    with checked():
        if no_prior and category is not None:
            raise UserError("--class and --no-prior: one names the class and the other none; give one of them")
        prior = {"clip": "none"} if no_prior else {"category": category} if category is not None else None
        resolved = resolve(MaskConfig, config, {"backbone": backbone, "prior": prior}, assignments)
        from flows.checks.mask import check_mask
        from flows.mask import mask as run_mask

        found, todo, _ = check_mask(resolved, photos, out)
        if not todo:
            typer.echo(f"Nothing is left to do: {len(found)} photos are masked in {out}")
            return
    with running():
        record = run_mask(resolved, photos, out)
        typer.echo(f"masked {record.made}, masked before {record.kept}, failed {record.failed}\n{record.table}")
    if record.failed:
        raise typer.Exit(1)


@app.command(epilog="Example: maskmill train diffusionseg --data data/shapes --run runs/shapes --set epochs=40")
def train(
    segmenter: Annotated[str, typer.Argument(help="diffusionseg, sod-diffusion, diffdis, encoder, unet or deeplabv3.")],
    run: Annotated[Path, typer.Option(help="Folder of the run: configuration, features, weights, log.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the dataset.")] = None,
    folder: Annotated[str | None, typer.Option(help="In place of --data photos and masks, as DUTS-TR=DIR.")] = None,
    version: Annotated[str | None, typer.Option(help="Version to train on; the latest when absent.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Train a segmenter on the kept samples of a dataset; run again, it resumes, and with more epochs it goes on.

    All but diffusionseg train on a benchmark's folder too; docs/benchmark-folders.md says how its files lie.
    """
    from models.config.overrides import resolve
    from models.segmenters.registry import SEGMENTERS

    with checked():
        if segmenter not in SEGMENTERS:
            raise UserError(f"segmenter: expected one of {', '.join(SEGMENTERS)}, got {segmenter!r}")
        resolved = resolve(SEGMENTERS[segmenter], config, {}, assignments)
        if (data is None) == (folder is None) or (folder is not None and version is not None):
            raise UserError("expected --data, with --version or without, or --folder alone; give one of the two")
        layout, source = (None, data) if folder is None else named_folder("--folder", folder)
        from flows.train import check_train
        from flows.train import train as run_train

        check_train(resolved, source, run, version, layout)
    with running():
        record = run_train(resolved, source, run, version, layout)
        typer.echo(
            f"run       {record.run}\n"
            f"trained   {resolved.label()}, on {record.training} samples of {source} {record.version}, "
            f"{record.steps} steps\n"
            f"IoU       {record.score:.4f} on {record.validation} held-out samples, against their own masks"
        )


@app.command(epilog="Example: maskmill predict runs/shapes photos/ --out masks")
def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders with photos directly in them.")],
    out: Annotated[Path, typer.Option(help="Folder of the masks, soft masks and predictions.csv.")],
    category: Annotated[str | None, typer.Option("--class", help="What all photos show; CLIP is not asked.")] = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Predict photographs' masks and boxes with a trained segmenter; run again, it does what is missing.

    A photo goes to the network at the size that it was trained at (diffusionseg: at about the backbone's own area); its
    mask is brought to its own. --set changes what predictions alone depend on, as tta or bilateral, and run.
    """
    with checked():
        from flows.predict import check_predict
        from flows.predict import predict as run_predict
        from models.config.overrides import parse_overrides

        overrides = parse_overrides(assignments)
        found, todo, _ = check_predict(run, photos, out, category, overrides)
        if not todo:
            typer.echo(f"Nothing is left to do: {len(found)} photos are predicted in {out}")
            return
    with running():
        record = run_predict(run, photos, out, category, overrides)
        typer.echo(f"predicted {record.made}, before {record.kept}, failed {record.failed}\n{record.table}")
    if record.failed:
        raise typer.Exit(1)


@app.command(epilog="Example: maskmill evaluate runs/shapes runs/unet --benchmark ECSSD=photos/ECSSD --out scores")
def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Folders of trained runs, each of another name.")],
    benchmark: Annotated[list[str], typer.Option(help="A set and its folder, as ECSSD=DIR; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder of the scores, tables, predictions and report.")],
    worst: Annotated[int, typer.Option(min=0, help="Images with the lowest IoU that the report shows.")] = 12,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Score trained segmenters on benchmarks and compare them; run again, it does what is missing.

    Truth is taken at its own size and predictions are brought to it. docs/benchmark-folders.md says how each set lies.
    --set changes what predictions alone depend on, as for `predict`, for the runs that have it.
    """
    with checked():
        named = [named_folder("--benchmark", each) for each in benchmark]
        if len(benchmarks := dict(named)) < len(named):
            raise UserError("--benchmark: expected each set once; give the other folder another --out")
        from flows.evaluate import check_evaluate
        from flows.evaluate import evaluate as run_evaluate
        from models.config.overrides import parse_overrides

        overrides = parse_overrides(assignments)
        check_evaluate(runs, benchmarks, out, overrides)
    with running():
        record = run_evaluate(runs, benchmarks, out, worst, overrides)
        typer.echo((out / "comparison.md").read_text(encoding="utf-8"))
        typer.echo(f"scored {record.made}, before {record.kept}, failed {record.failed}\n{record.report}")
    if record.failed:
        raise typer.Exit(1)


@app.command(epilog="Example: maskmill pretrain --run runs/pretrain --out runs/pretrain/weights")
def pretrain(
    run: Annotated[Path, typer.Option(help="Folder of scenes, checkpoints and losses.")] = Path("runs/pretrain"),
    out: Annotated[Path, typer.Option(help="Folder the weights are written to.")] = Path("runs/pretrain/weights"),
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Train pocket's weights from nothing; run again, it resumes."""
    from models.config.overrides import resolve
    from models.pocket.config import PretrainConfig

    with checked():
        resolved = resolve(PretrainConfig, config, {}, assignments)
        from flows.checks.pretrain import check_pretrain
        from flows.pretrain import pretrain as run_pretrain

        check_pretrain(resolved)
    with running():
        typer.echo(run_pretrain(resolved, run, out))


@app.command(epilog="Example: maskmill bench pocket")
def bench(
    name: Annotated[str, typer.Argument(help="Its name; any other word lists them.")],
    count: Annotated[int | None, typer.Option(help="Samples measured; the benchmark's own number when absent.")] = None,
    photos: Annotated[Path | None, typer.Option(help="Folder of DUTS-TR and ECSSD, for cut and photographs.")] = None,
) -> None:
    """Measure, print the figures, and write them to docs/benchmarks/."""
    with checked():
        from benchmarks.run import run_benchmark

        typer.echo(run_benchmark(name, count, photos, sys.argv[1:]))


def named_folder(option: str, given: str) -> tuple[str, Path]:
    """'ECSSD=DIR' -> ('ECSSD', DIR)."""
    name, equals, path = given.partition("=")
    if not (name and equals and path):
        raise UserError(f"{option} {given}: expected NAME=DIR, as in {option} ECSSD=photos/ECSSD")
    return name, Path(path)


def source_of(option: str, given: str, version: str | None) -> "Source":
    """A dataset's folder, or 'DUTS-TR=DIR'; what exists under the whole name is a dataset's."""
    from storage.sources import Source

    if "=" not in given or Path(given).exists():
        return Source(path=Path(given), version=version)
    layout, path = named_folder(option, given)
    return Source(path=path, layout=layout, version=version)


def summary(path: Path) -> str:
    """A dataset in a few aligned lines."""
    from analysis.prompts import prompt_line
    from analysis.statistics import describe
    from storage.dataset.reader import open_dataset

    facts = describe(path)
    written = prompt_line(open_dataset(path, "build"))
    reasons = ", ".join(f"{n} {reason}" for reason, n in facts["rejected"].items()) or "none"
    return (
        f"dataset   {path}\nversion   {facts['version']}\nplanned   {facts['planned']}\nkept      {facts['kept']}\n"
        f"prompts   {written}\n"
        f"rejected  {sum(facts['rejected'].values())} ({reasons})\nfailed    {facts['failed']}"
    )


if __name__ == "__main__":
    app()
