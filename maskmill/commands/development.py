"""Commands for who works on maskmill itself: pretrain and bench."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from maskmill.commands.options import Assignments, ConfigFile
from maskmill.failures import checked, running


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


def bench(
    name: Annotated[str, typer.Argument(help="Its name; any other word lists them.")],
    count: Annotated[int | None, typer.Option(help="Samples measured; the benchmark's own number when absent.")] = None,
    photos: Annotated[Path | None, typer.Option(help="Folder of DUTS-TR and ECSSD, for cut and photographs.")] = None,
) -> None:
    """Measure, print the figures, and write them to docs/benchmarks/."""
    with checked():
        from benchmarks.run import run_benchmark

        typer.echo(run_benchmark(name, count, photos, sys.argv[1:]))
