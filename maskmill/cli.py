"""The command line: the table of commands. maskmill/commands implements them, maskmill/failures handles their errors.

Exit codes: 0 done; 2 refused before anything was written; 1 a run that stopped and can resume, or a bug in maskmill.
"""

from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from maskmill import rooms
from maskmill.commands import datasets, development, photographs, segmenters, tuning
from maskmill.commands.options import with_given_paths
from maskmill.environment import prepare_environment
from maskmill.failures import debug, reporting_bugs

DATASETS, MASKS, DEVELOPMENT = "Datasets", "Masks of photographs", "Development of maskmill"

# The command's panel in the help, its function, and an example.
COMMANDS = (
    (DATASETS, datasets.build, "build --backbone pocket --classes ball,star --count 64 --seed 7 --out data/shapes"),
    (DATASETS, datasets.info, "info data/shapes --json"),
    (DATASETS, datasets.recut, "recut data/shapes --set cut.lambda=4 --set cut.neighbourhood=4"),
    (DATASETS, tuning.tune, "tune data/shapes --dry-run"),
    (DATASETS, datasets.report, "report data/shapes --version v2 --compare v1"),
    (DATASETS, datasets.statistics, "statistics data/shapes --reference DUTS-TR=photos/DUTS-TR --out statistics"),
    (DATASETS, datasets.export, "export data/shapes --format coco --split 0.7,0.2,0.1 --out exports/coco"),
    (DATASETS, datasets.mend, "mend data/shapes --from annotations.xml --format cvat"),
    (MASKS, photographs.mask, "mask photos/ --backbone CompVis/stable-diffusion-v1-4 --class dog --out masks"),
    (MASKS, segmenters.train, "train diffusionseg --data data/shapes --run runs/shapes --set epochs=40"),
    (MASKS, segmenters.predict, "predict runs/shapes photos/ --out masks"),
    (MASKS, segmenters.evaluate, "evaluate runs/shapes runs/unet --benchmark ECSSD=photos/ECSSD --out scores"),
    (DEVELOPMENT, development.pretrain, "pretrain --run runs/pretrain --out runs/pretrain/weights"),
    (DEVELOPMENT, development.bench, "bench pocket"),
)


class Commands(TyperGroup):
    """The group of all commands; it accepts --debug after a command's name too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move --debug to the front."""
        rest = [arg for arg in args if arg != "--debug"]
        return super().parse_args(ctx, ["--debug", *rest] if len(rest) < len(args) else args)


app = typer.Typer(
    cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, help="Segmentation data without annotators."
)
for panel, command, example in COMMANDS:
    app.command(epilog=f"Example: maskmill {example}", rich_help_panel=panel)(reporting_bugs(with_given_paths(command)))


def show_version(wanted: bool) -> None:
    """Print the version and exit, if it is wanted."""
    if wanted:
        typer.echo(f"maskmill {installed_version('maskmill')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
    show_tracebacks: Annotated[bool, typer.Option("--debug", help="Show the traceback of a bug.")] = False,
) -> None:
    """Segmentation data without annotators."""
    debug.set(show_tracebacks)
    rooms.put_first_on_path()
    prepare_environment()


if __name__ == "__main__":
    app()
