"""Commands for the development of maskmill: pretrain and bench."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from maskmill.commands.options import Assignments, ConfigFile
from maskmill.failures import checked, running


def pretrain(
    run: Annotated[Path, typer.Option(help="Folder of scenes, checkpoints and losses.")] = Path("runs/pretrain"),
    out: Annotated[Path, typer.Option(help="Folder of the weights.")] = Path("runs/pretrain/weights"),
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Train pocket's weights from scratch. Run it again to resume."""
    from models.config.overrides import resolve
    from models.pocket.config import PretrainConfig

    with checked():
        resolved = resolve(PretrainConfig, config, {}, assignments)
        from flows.checks.pretrain import check_pretrain
        from flows.pretrain import pretrain as run_pretrain

        check_pretrain(resolved, out)
    with running():
        typer.echo(run_pretrain(resolved, run, out))


def bench(
    name: Annotated[str, typer.Argument(help="Name of the benchmark; any other word lists the names.")],
    count: Annotated[int | None, typer.Option(help="Number of samples; the benchmark's default when absent.")] = None,
    photos: Annotated[Path | None, typer.Option(help="Folder of DUTS-TR and ECSSD, for cut and photographs.")] = None,
) -> None:
    """Run a benchmark, print its figures, and write them to docs/benchmarks/."""
    with checked():
        from benchmarks.run import run_benchmark

        typer.echo(run_benchmark(name, count, photos, sys.argv[1:]))
