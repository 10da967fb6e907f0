"""Commands that make and use datasets: build, info, recut, report, statistics, export, mend."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from maskmill.commands.options import Assignments, ConfigFile, Out, PathArgument, source_of
from maskmill.failures import checked, running
from models.config.export import format_names


def build(
    out: Out,
    backbone: Annotated[str | None, typer.Option(help="'pocket', a diffusers folder, or a hub id.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Names, as in ball,star; a .txt file; or imagenet-merged.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Planned number of samples; a larger one extends.")] = None,
    seed: Annotated[int | None, typer.Option(help="Dataset seed.")] = None,
    shard_size: Annotated[int | None, typer.Option(help="Samples processed and committed together.")] = None,
    workers: Annotated[int | None, typer.Option(help="Dask processes for the cuts; 0 uses threads.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
    no_trial: Annotated[bool, typer.Option("--no-trial", help="Do not stop after the first samples.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, disk and memory; write nothing.")] = False,
) -> None:
    """Build a dataset of images and masks. Run it again to resume, or with a larger count to extend the dataset.

    With a backbone other than pocket it stops after a trial of 32 samples (exit code 1) if too many of their masks are
    very small or very large; docs/gpu.md says how to continue.
    """
    from models.config.build import BuildConfig
    from models.config.overrides import resolve

    with checked():
        options: dict[str, Any] = {"backbone": backbone, "count": count, "seed": seed, "shard_size": shard_size}
        options["classes"] = classes
        options["run"] = None if workers is None else {"workers": workers}
        resolved = resolve(BuildConfig, config, options, [*assignments, *(["trial=false"] if no_trial else [])])
        from flows.checks.build import describe, fetch_networks, is_finished, preflight

        plan = preflight(resolved, out)
        if dry_run or is_finished(plan):
            typer.echo("\n".join(describe(plan)) if dry_run else f"Nothing is left to do: {summary(out)}")
            return
        fetch_networks(plan)
    with running():
        from flows.build import build as run_build

        record = run_build(plan.config, out)
        typer.echo(f"{summary(out)}\nreport    {record.report}")


def info(
    path: PathArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Show the versions, counts and reasons for rejection of a dataset."""
    from analysis.statistics import describe

    with checked():
        facts = describe(path)
        typer.echo(json.dumps(facts) if as_json else summary(path))


def recut(path: PathArgument, assignments: Assignments = []) -> None:  # noqa: B006
    """Solve all masks again from the stored evidence, without the backbone, as a new version.

    If only fields of screen change, the masks stay, and are screened again.
    """
    from models.config.build import BuildConfig
    from models.config.overrides import resolve
    from storage.dataset.reader import open_dataset

    with checked():
        stored = BuildConfig.of_stored(open_dataset(path).config).model_dump(mode="json", by_alias=True)
        resolved = resolve(BuildConfig, None, stored, assignments)
        from flows.checks.build import load_screening
        from flows.checks.recut import check_recut
        from flows.recut import recut as run_recut

        check_recut(resolved, path)
        load_screening(resolved.screen.clip)
    with running():
        record = run_recut(resolved, path)
        typer.echo(f"{summary(path)}\nreport    {record.report}")


def report(
    path: PathArgument,
    version: Annotated[str | None, typer.Option(help="Version to report on; the latest when absent.")] = None,
    compare: Annotated[str | None, typer.Option(help="Another version, to show what changed since.")] = None,
) -> None:
    """Write the report of a dataset again."""
    with checked():
        from flows.checks.report import check_report
        from flows.report import report as run_report

        check_report(path, version, compare)
    with running():
        typer.echo(run_report(path, version, compare))


def statistics(
    data: Annotated[str, typer.Argument(help="Folder of a dataset; or photos and masks, as in DUTS-TR=DIR.")],
    out: Annotated[Path, typer.Option(help="Folder of the tables, figures and page.")],
    reference: Annotated[str | None, typer.Option(help="Data to compare with, given as DATA is.")] = None,
    version: Annotated[str | None, typer.Option(help="Version of the dataset; the latest when absent.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Measure images and masks (contrast, size, position, shape) and compare them with real ones.

    docs/statistics.md explains the measures.
    """
    from models.config.overrides import resolve
    from models.config.statistics import StatisticsConfig

    with checked():
        resolved = resolve(StatisticsConfig, config, {}, assignments)
        subject = source_of("DATA", data, version)
        other = None if reference is None else source_of("--reference", reference, None)
        from flows.checks.statistics import check_statistics
        from flows.statistics import statistics as run_statistics
        from maskmill.commands.notes import say

        check_statistics(subject, other, out)
        for source, given in ((subject, data), (other, str(reference))):
            if source is not None:
                say(source.notes(), given)
    with running():
        record = run_statistics(resolved, subject, out, other)
        typer.echo((out / "comparison.md").read_text(encoding="utf-8"))
        typer.echo(f"measured {record.measured}, failed {record.failed}\n{record.report}")
    if record.failed:
        raise typer.Exit(1)


def export(
    path: PathArgument,
    form: Annotated[str, typer.Option("--format", help=f"{format_names()}.")],
    out: Annotated[Path, typer.Option(help="Folder of the export.")],
    version: Annotated[str | None, typer.Option(help="Version to export; the latest when absent.")] = None,
    split: Annotated[str | None, typer.Option(help="Shares, as in 0.7,0.2,0.1 or train=0.9,val=0.1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the splits.")] = None,
    masks: Annotated[str | None, typer.Option(help="Masks of format coco: polygons, or rle.")] = None,
    license: Annotated[str | None, typer.Option(help="Licence to name, as in CC-BY-4.0.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export that is unchanged.")
    ] = False,
) -> None:
    """Export the kept samples of a version for other tools. Run it again after a kill to resume.

    docs/exports.md describes each format's files, how to load them and what the format loses.
    """
    from models.config.export import ExportConfig
    from models.config.overrides import resolve

    with checked():
        given = {"format": form, "version": version, "split": split, "seed": seed, "masks": masks, "license": license}
        resolved = resolve(ExportConfig, None, given, [])
        from flows.export import export as run_export
        from storage.exports.writing import check_export

        check_export(resolved, path, out, overwrite)
    with running():
        record = run_export(resolved, path, out, overwrite)
        samples = ", ".join(f"{count} {name}" for name, count in record.samples.items())
        counts = "".join(f"\nnote      {count} {what}" for what, count in record.counts.items() if count)
        counts += "".join(f"\nmeasured  {value:.3f} {what}" for what, value in record.measured.items())
        typer.echo(f"exported  {path} {record.version}\nsamples   {samples}{counts}\nto        {out}")


def mend(
    path: PathArgument,
    source: Annotated[Path, typer.Option("--from", help="File or folder with the mended masks.")],
    form: Annotated[str, typer.Option("--format", help="cvat, labelstudio, folders or semantic.")],
    version: Annotated[str | None, typer.Option(help="Version the masks are of, where the file does not say.")] = None,
) -> None:
    """Publish a version with masks that you mended in CVAT, Label Studio or an image editor.

    docs/exports.md shows the way there and back. Samples that nobody touched stay as they are.
    """
    from storage.dataset.reader import open_dataset
    from storage.mending.plan import Source

    given = Source(source, form, version)
    with checked():
        from flows.checks.mend import check_mend
        from flows.mend import mend as run_mend

        mends = check_mend(path, given)
        if not (mends.samples or mends.unfinished):
            typer.echo(f"Nothing is mended: {summary(path)}")
            return
    with running():
        record = run_mend(path, given)
        done = open_dataset(path, record.version).mends[-1]
        typer.echo(
            f"mended    {done['masks']} ({done['emptied']} emptied), {done['rejected']} rejected by hand\n"
            f"{summary(path)}\nreport    {record.report}"
        )


def summary(path: Path) -> str:
    """The summary of a dataset in a few aligned lines."""
    from analysis.prompts import prompt_line
    from analysis.statistics import describe
    from storage.dataset.reader import open_dataset

    facts = describe(path)
    build = open_dataset(path, "build")
    written = prompt_line(build)
    trial = f"\ntrial     {build.trial}" if build.trial else ""
    reasons = ", ".join(f"{n} {reason}" for reason, n in facts["rejected"].items()) or "none"
    return (
        f"dataset   {path}\nversion   {facts['version']}\nplanned   {facts['planned']}\nkept      {facts['kept']}\n"
        f"prompts   {written}\n"
        f"rejected  {sum(facts['rejected'].values())} ({reasons})\nfailed    {facts['failed']}{trial}"
    )
