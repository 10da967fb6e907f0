"""The command that tunes a dataset's cut: tune."""

import shlex
from contextlib import closing, suppress
from pathlib import Path
from signal import SIGTERM, default_int_handler, signal
from typing import TYPE_CHECKING, Annotated

import typer

from maskmill.commands.options import PathArgument
from maskmill.failures import checked, running
from models.errors import UserError

if TYPE_CHECKING:
    from flows.tune import TuneRecord


def tune(
    path: PathArgument,
    samples: Annotated[int, typer.Option(help="Number of samples that settings are judged by.")] = 32,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the best setting; write nothing.")] = False,
    page: Annotated[bool, typer.Option("--page", help="Tune by hand, on a local page, until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="Port of --page; 0 is any free one.")] = 0,
) -> None:
    """Find the cut's numbers that suit the backbone, from the stored evidence, and solve all masks again with them.

    Writes tuned.yaml, which `maskmill build --config` takes, and tuned.webp, the masks before and after, into the
    dataset's folder, and publishes a version. docs/tuning.md says how settings are judged.
    """
    if page:
        serve(path, samples, dry_run, port)
        return
    with checked():
        if port:
            raise UserError(f"--port {port}: expected with --page; add --page, or leave it out")
        from flows.checks.tune import check_tune

        check_tune(path, samples)
    with running():
        from flows.tune import tune as run_tune

        typer.echo(described(run_tune(path, samples, dry_run)))


def serve(path: Path, samples: int, dry_run: bool, port: int) -> None:
    """Serve the tuning page until Ctrl-C or SIGTERM, then end a recut that the page has started."""
    with checked():
        if dry_run:
            raise UserError("--dry-run: the page writes only what its buttons say; leave out one of --page, --dry-run")
        from analysis.tuning_page.server import Server
        from flows.tune.bench import TuningBench

        bench = TuningBench(path, samples)
        server = Server(bench, port)
    signal(SIGTERM, default_int_handler)
    typer.echo(f"page      {server.url}\nnote      only this machine can open it; Ctrl-C ends it")
    with server, closing(bench), suppress(KeyboardInterrupt):
        server.serve_forever()


def described(record: "TuneRecord") -> str:
    """The lines that the command prints."""
    before, after = record.before, record.after
    lines = [
        f"dataset   {record.path}",
        f"judged by {record.samples} samples of {record.before_version}",
        f"score     {before.score:.2f} -> {after.score:.2f}",
        f"area      {before.area:.0%} -> {after.area:.0%} of the picture, on average",
        f"outside   {before.outside:.0%} -> {after.outside:.0%} of the masks cover less than 5 % or more than 70 %",
        *(f"change    {name}: {old} -> {new}" for name, (old, new) in record.changed.items()),
    ]
    if not record.changed:
        lines.append("change    none: no other setting scores better")
    if record.fixed:
        lines.append(f"note      {record.fixed}")
    if record.config is None:
        return "\n".join([*lines, "dry run: nothing is written"])
    lines += [f"picture   {record.picture}", f"config    {record.config}", f"version   {record.version}"]
    if record.report:
        lines.append(f"report    {record.report}")
    out, config = (shlex.quote(str(each)) for each in (record.path, record.config))
    return "\n".join([*lines, f"continue  maskmill build --config {config} --out {out} --count N"])
