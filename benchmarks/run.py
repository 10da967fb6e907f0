"""Run a benchmark, write its figures to docs/benchmarks/NAME.json, and render docs/benchmarks.md from all of them."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.datasets import exports, report, statistics
from benchmarks.masks import ablations, adaptive, cut, live, pocket, schedulers, screening, tuning
from benchmarks.page import page, section
from benchmarks.training import ladders, latency, memory, photographs, segmenters
from models.backbone.files import POCKET_FOLDER
from models.errors import UserError
from models.hardware import hardware
from models.pocket.card import write_card

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"
RUNS = ROOT / "runs" / "bench"
PAIRS = RUNS / "segmenters" / "pairs"


@dataclass(frozen=True)
class Request:
    """The options of `maskmill bench`: number of samples (None: the benchmark's default), and the photographs."""

    count: int | None
    photos: Path | None

    def needed_photos(self) -> Path:
        """UserError if the benchmark measures photographs and none were named."""
        if self.photos is None:
            raise UserError("--photos: is required; name the folder that holds DUTS-TR and ECSSD")
        return self.photos


def ladder(name: str, asked: Request) -> dict[str, Any]:
    """The ablations of a segmenter, which ignore the requested count."""
    return ladders.run(name, RUNS / name)


BENCHMARKS: dict[str, Callable[[Request], dict[str, Any]]] = {
    "pocket": lambda asked: pocket.run(asked.count or 500),
    "cut": lambda asked: cut.run(asked.photos, asked.count or 200),
    "schedulers": lambda asked: schedulers.run(asked.count or 100),
    "adaptive": lambda asked: adaptive.run(asked.needed_photos(), asked.count or 60),
    "tune": lambda asked: tuning.run(asked.needed_photos(), asked.count or 32),
    "page": lambda asked: live.run(asked.photos, asked.count or 32),
    "ablations": lambda asked: ablations.run(asked.count or 500),
    "diffusionseg": lambda asked: segmenters.run(RUNS / "segmenters", asked.count or 2000, segmenters.FEW),
    "segmenters": lambda asked: segmenters.run(RUNS / "segmenters", asked.count or 2000, tuple(segmenters.RUNS)),
    "photographs": lambda asked: photographs.run(
        RUNS / "photographs", asked.needed_photos(), photographs.OF_SUPERVISION
    ),
    "photographs-third": lambda asked: photographs.run(
        RUNS / "photographs", asked.needed_photos(), photographs.OF_THIRD
    ),
    "screening": lambda asked: screening.run(PAIRS, asked.count or 2000),
    "statistics": lambda asked: statistics.run(PAIRS, asked.needed_photos(), asked.count),
    "report": lambda asked: report.run(asked.count or 5000),
    "exports": lambda asked: exports.run(segmenters.kept_pairs(PAIRS, asked.count or 2000)),
    "latency": lambda asked: latency.run(),
    "memory": lambda asked: memory.run(),
    **{name: partial(ladder, name) for name in ladders.ROWS},
}


def run_benchmark(name: str, count: int | None, photos: Path | None, arguments: list[str]) -> str:
    """Measure, record and return the figures as a markdown table."""
    if name not in BENCHMARKS:
        raise UserError(f"bench: expected one of {', '.join(BENCHMARKS)}, got {name!r}")
    measured = BENCHMARKS[name](Request(count, photos))
    record = {"name": name, "command": command(arguments), "commit": commit(), "hardware": hardware()}
    record |= {"date": date.today().isoformat(), **measured}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    if name == "pocket":
        (POCKET_FOLDER / "figures.json").write_text(json.dumps(record, indent=2) + "\n")
        write_card(POCKET_FOLDER)
    PAGE.write_text(page([json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]))
    return section(record)


def command(arguments: list[str]) -> str:
    """The command line as given, with folders reduced to their names, so that no local path is published."""
    return " ".join(["maskmill", *(Path(argument).name for argument in arguments)])


def commit() -> str:
    """Short hash of the checkout, with a plus if the tree has changes; 'unknown' outside a checkout."""
    result = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True)
    return result.stdout.strip() or "unknown"
