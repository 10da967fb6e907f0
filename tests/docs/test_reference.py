"""The reference's generated parts say what the code does: every command and option, every field with its default."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from maskmill.cli import app
from models.config.build import BuildConfig
from storage.dataset.schema import array_specs

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS))
commands = pytest.importorskip("commands").commands()
fields = pytest.importorskip("fields")
sys.path.remove(str(DOCS))
GROUP: Any = typer.main.get_command(app)
COMMANDS = GROUP.commands


def row(table: str, field: str) -> list[str]:
    (line,) = (line for line in table.splitlines() if line.startswith(f"| `{field}` |"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_has_its_heading_and_all_its_options(name: str) -> None:
    section = next(part for part in commands.split("\n## ") if part.removeprefix("## ").startswith(f"{name}\n"))
    told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "300", "TERM": "dumb"}).output
    for option in set(re.findall(r"--[a-z][a-z-]+", told)) - {"--help", "--data", "--folder"}:
        assert f"`{option}" in section or option in section, option


@pytest.mark.parametrize("name", list(fields.CONFIGURATIONS))
def test_every_field_of_every_configuration_has_a_row(name: str) -> None:
    model, table = fields.CONFIGURATIONS[name], fields.tables(name) + fields.tables("train")
    nested = dict(fields.sections(model))
    for field, info in model.model_fields.items():
        if field not in nested and field not in fields.UNLISTED:
            assert f"| `{info.alias or field}` |" in table
        assert info.description
    for section, inner in nested.items():
        if inner not in dict(fields.sections(BuildConfig)).values():
            assert all(f"| `{section}.{each.alias or field}` |" in table for field, each in inner.model_fields.items())


def test_defaults_are_shown_beside_what_presets_make_of_them() -> None:
    table = fields.tables("build")
    pocket = BuildConfig(backbone="pocket", classes=("ball",), count=1)
    other = BuildConfig(backbone="someone/something", classes=("ball",), count=1)
    assert row(table, "screen.min_area")[1] == (
        f"`0.02`<br>pocket: `{pocket.screen.min_area}`<br>Stable Diffusion: `{other.screen.min_area}`"
    )
    assert row(table, "cut.lambda")[1] == f"`0.1`<br>pocket: `{pocket.cut.lambda_:g}`<br>Stable Diffusion: `6`"
    assert row(fields.tables("sod-diffusion"), "steps")[1] == "`10`<br>pocket: `4`<br>preset released: `50`"


def test_bounds_are_the_schemas() -> None:
    table = fields.tables("build")
    assert row(table, "shard_size")[2] == "integer, ≥ 1, ≤ 4,096"
    assert row(table, "sampling.height")[2] == "integer, ≥ 8 or `null`"
    assert row(table, "cut.clamp")[2] == "number, ≥ 1e-06, < 0.5"
    assert row(fields.tables("export"), "format")[1] == "**required**"


def test_the_dataset_page_has_every_array_and_every_column() -> None:
    page = (DOCS / "reference" / "dataset.md").read_text()
    for name in array_specs((8, 8), (4, 4), pooled=(2, 3)):
        assert f"`{name}`" in page
