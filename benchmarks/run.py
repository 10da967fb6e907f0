"""Run a benchmark, write its figures to docs/benchmarks/NAME.json, and render docs/benchmarks.md from all of them.

No figure in the docs is typed by hand. Knows nothing of what is measured.
"""

import json
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import (
    ablations,
    cut,
    exports,
    ladders,
    latency,
    memory,
    photographs,
    pocket,
    report,
    screening,
    segmenters,
    statistics,
)
from benchmarks.cut import IOU_BAR, SPEED_BAR
from benchmarks.intervals import words
from models.backbone.files import POCKET_FOLDER
from models.errors import UserError
from models.hardware import hardware
from models.pocket.card import write_card

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"
NAMES = (
    "pocket",
    "cut",
    "ablations",
    "diffusionseg",
    "segmenters",
    "photographs",
    "photographs-third",
    "screening",
    "statistics",
    "report",
    "exports",
    "latency",
    "memory",
    *ladders.ROWS,
)
RUNS = ROOT / "runs" / "bench"


def run_benchmark(name: str, count: int | None, photos: Path | None, arguments: list[str]) -> str:
    """Measure, record and return the figures as a markdown table."""
    if name not in NAMES:
        raise UserError(f"bench: expected one of {', '.join(NAMES)}, got {name!r}")
    found = _measure(name, count, photos)
    record = {"name": name, "command": command(arguments), "commit": commit(), "hardware": hardware()}
    record |= {"date": date.today().isoformat(), **found}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    if name == "pocket":
        (POCKET_FOLDER / "figures.json").write_text(json.dumps(record, indent=2) + "\n")
        write_card(POCKET_FOLDER)
    PAGE.write_text(page([json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]))
    return section(record)


def _measure(name: str, count: int | None, photos: Path | None) -> dict[str, Any]:
    if name == "pocket":
        return pocket.run(count or 500)
    if name == "ablations":
        return ablations.run(count or 500)
    if name in ("diffusionseg", "segmenters"):
        names = segmenters.FEW if name == "diffusionseg" else tuple(segmenters.RUNS)
        return segmenters.run(RUNS / "segmenters", count or 2000, names)
    if name in ladders.ROWS:
        return ladders.run(name, RUNS / name)
    if name == "screening":
        return screening.run(RUNS / "segmenters" / "pairs", count or 2000)
    if name == "latency":
        return latency.run()
    if name == "memory":
        return memory.run()
    if name == "exports":
        return exports.run(segmenters.kept_pairs(RUNS / "segmenters" / "pairs", count or 2000))
    if name == "report":
        return report.run(count or 5000)
    if name in ("photographs", "photographs-third", "statistics"):
        if photos is None:
            raise UserError("--photos: is required; name the folder that holds DUTS-TR and ECSSD")
        if name == "statistics":
            return statistics.run(RUNS / "segmenters" / "pairs", photos, count)
        names = photographs.OF_SUPERVISION if name == "photographs" else photographs.OF_THIRD
        return photographs.run(RUNS / "photographs", photos, names)
    return flat(cut.run(photos, count or 200))


def flat(found: dict[str, Any]) -> dict[str, Any]:
    """A benchmark's nested settings as one mapping of figures, 'setting: figure'."""
    settings = found["settings"]
    figures = {f"{s}: {k}": v for s, values in settings.items() for k, v in values.items() if k != "reached"}
    bars = {f"{s}: {k}": bar for s in settings for k, bar in (("iou_mean", IOU_BAR), ("speed_ratio", SPEED_BAR))}
    return {"count": found["count"], "source": found["source"], "figures": figures, "bars": bars}


def page(records: list[dict[str, Any]]) -> str:
    """docs/benchmarks.md."""
    head = "# Benchmarks\n\nRendered from docs/benchmarks/*.json by `maskmill bench`; nothing here is typed by hand.\n"
    return "\n".join([head, *(section(record) for record in records)])


def section(record: dict[str, Any]) -> str:
    """One benchmark: command, hardware, and its figures or its tables."""
    lines = [
        f"## {record['name']}\n",
        f"`{record['command']}` at commit {record['commit']}, {record['date']}, {record['hardware']}, "
        f"{record['count']} {record.get('source', 'scenes and samples')}\n",
    ]
    return "\n".join(lines + (tables(record) if "tables" in record else figures(record))) + "\n"


def figures(record: dict[str, Any]) -> list[str]:
    """A row a figure, with the bar it should reach where there is one."""
    lines = ["| figure | measured | to reach |", "|---|---|---|"]
    for name, value in record["figures"].items():
        bar = record["bars"].get(name)
        verdict = "" if bar is None else f"{bar:g} {'reached' if value >= bar else '**not reached**'}"
        lines.append(f"| {name} | {value:.4g} | {verdict} |")
    return lines


def tables(record: dict[str, Any]) -> list[str]:
    """Each table under its title, a note below it where there is one, and a line a verdict."""
    lines = []
    for each in record["tables"]:
        lines += [f"### {each['title']}\n", markdown_row(each["columns"]), "|---" * len(each["columns"]) + "|"]
        lines += [*(markdown_row(row) for row in each["rows"]), ""]
        lines += [f"{each['note']}\n"] if each["note"] else []
    return [*lines, *(f"- {question}: {answer}" for question, answer in record["verdicts"].items())]


def markdown_row(cells: list[Any]) -> str:
    """Text as it is, a number with three decimals, [mean, low, high] as 'mean [low, high]'."""
    shown = (
        cell if isinstance(cell, str) else words(cell) if isinstance(cell, list) else f"{cell:.3f}" for cell in cells
    )
    return f"| {' | '.join(shown)} |"


def command(arguments: list[str]) -> str:
    """The command line as given, folders by their own name only: where they lie is nobody's business."""
    return " ".join(["maskmill", *(Path(argument).name for argument in arguments)])


def commit() -> str:
    """Short hash of the checkout, with a plus where the tree differs; 'unknown' outside a checkout."""
    result = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True)
    return result.stdout.strip() or "unknown"
