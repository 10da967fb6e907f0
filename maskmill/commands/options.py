"""Options and arguments shared by several commands: paths as people write them, and the parsing of NAME=DIR."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskmill.failures import checked
from models.errors import UserError
from models.paths import given_path

if TYPE_CHECKING:
    from storage.sources import Source

Out = Annotated[Path, typer.Option("--out", help="Folder of the dataset, usually below data/.")]
PathArgument = Annotated[Path, typer.Argument(help="Folder of a dataset.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML file with the fields of --set.")]
Assignments = Annotated[list[str], typer.Option("--set", help="One field, as in cut.alpha=1.0; may be repeated.")]


def with_given_paths(command: Callable[..., None]) -> Callable[..., None]:
    """The command, given the paths of its options as `given_path` reads them; exit code 2 for what cannot be a path."""

    @wraps(command)
    def given(**options: Any) -> None:
        with checked():
            paths = {name: _given(value) for name, value in options.items()}
        command(**paths)

    return given


def _given(value: Any) -> Any:
    if isinstance(value, list):
        return [_given(item) for item in value]
    return given_path(value) if isinstance(value, Path) else value


def named_folder(option: str, given: str) -> tuple[str, Path]:
    """'ECSSD=DIR' -> ('ECSSD', DIR). UserError for another form."""
    name, equals, path = given.partition("=")
    if not (name and equals and path):
        raise UserError(f"{option} {given}: expected NAME=DIR, as in {option} ECSSD=photos/ECSSD")
    return name, given_path(path)


def source_of(option: str, given: str, version: str | None) -> "Source":
    """The source of a dataset's folder, or of 'DUTS-TR=DIR'. If the whole text is an existing path, it is a dataset."""
    from storage.sources import Source

    if "=" not in given or Path(given).exists():
        return Source(path=given_path(given), version=version)
    layout, path = named_folder(option, given)
    return Source(path=path, layout=layout, version=version)
