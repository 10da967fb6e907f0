"""Figures on the page are those of the JSON files, and a bar that is missed says so."""

import json

import pytest

from benchmarks.page import page, section
from benchmarks.run import BENCHMARKS, FOLDER, PAGE, command, run_benchmark

RECORD = {
    "name": "pocket",
    "command": "maskmill bench pocket",
    "commit": "abc1234",
    "date": "2026-01-02",
    "hardware": "a machine",
    "count": 7,
    "figures": {"high": 0.97123, "low": 0.5, "free": 3.0},
    "bars": {"high": 0.9, "low": 0.8},
}


def test_the_page_holds_every_figure_its_command_and_its_bar() -> None:
    text = page([RECORD])
    assert "| high | 0.9712 | 0.9 reached |" in text
    assert "| low | 0.5 | 0.8 **not reached** |" in text
    assert "| free | 3 |  |" in text
    assert "`maskmill bench pocket` at commit abc1234, 2026-01-02, a machine, 7" in text


def test_the_committed_page_is_what_the_committed_figures_render_to() -> None:
    records = [json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]
    assert PAGE.read_text() == page(records)
    assert {record["name"] for record in records} <= set(BENCHMARKS)


def test_folders_of_this_machine_stay_out_of_the_command() -> None:
    for folder in ("/somewhere/private/photos", "../private/photos", "photos"):
        assert command(["bench", "cut", "--photos", folder]) == "maskmill bench cut --photos photos"


def test_an_unknown_benchmark_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of pocket, cut"):
        run_benchmark("speed", None, None, [])


def test_tables_show_numbers_intervals_and_words_and_verdicts_stand_below() -> None:
    rows = [["one", [0.97123, 0.9601, 0.98], 0.99], ["other", "not installed", ""]]
    table = {"title": "Table 5: masks", "columns": ["method", "IoU", "Acc"], "rows": rows, "note": "A note."}
    record = {name: value for name, value in RECORD.items() if name not in ("figures", "bars")}
    lines = section(record | {"tables": [table, table | {"note": ""}], "verdicts": {"Best": "yes"}}).split("\n")
    start = lines.index("### Table 5: masks")
    assert lines[start + 1 : start + 9] == [
        "",
        "| method | IoU | Acc |",
        "|---|---|---|",
        "| one | 0.971 [0.960, 0.980] | 0.990 |",
        "| other | not installed |  |",
        "",
        "A note.",
        "",
    ]
    assert lines[-3:] == ["", "- Best: yes", ""]
