"""The commands that pages print are ones that the command line takes, and the fields that they set exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from maskmill.cli import app
from models.config.build import BuildConfig

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "gpu.md").read_text()
GROUP: Any = typer.main.get_command(app)
LINES = [
    shlex.split(line, comments=True)
    for block in re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", "").splitlines()
    if line.startswith("maskmill ")
]


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_the_command_line_takes_a_printed_command(words):
    _, name, *arguments = words
    GROUP.commands[name].make_context(name, arguments)


def test_the_first_day_is_there_as_a_whole():
    steps = [
        "build --config configs/sd14.yaml",
        "info",
        "tune",
        "build --config data/sd14/tuned.yaml",
        "train",
        "evaluate",
    ]
    told = [" ".join(words[1:]) for words in LINES]
    places = [next(i for i, line in enumerate(told) if line.startswith(step)) for step in steps]
    assert places == sorted(places)


def test_fields_that_the_page_sets_exist():
    for field in re.findall(r"--set ([\w.]+)=|`((?:trial|run|cut|screen)\.\w+)`", PAGE):
        section: Any = BuildConfig
        for part in "".join(field).split("."):
            names = {info.alias or name: info.annotation for name, info in section.model_fields.items()}
            assert part in names, field
            section = names[part]
