"""The tuning page's masks: from a slider's request to the answer in the client's hands, at 512x512 and 64x64 cells.

Photographs with simulated evidence, as in `benchmarks.masks.cut`, through the page's own server on loopback. Every
request has a lambda of its own, so no answer comes from memory.
"""

import http.client
import json
import os
from functools import lru_cache
from pathlib import Path
from threading import Lock, Thread
from time import perf_counter
from typing import Any

import numpy as np

from analysis.tuning_page.server import Server
from benchmarks.masks.cut import GRID, SIZE, pictures, simulate
from flows.tune.bench import TuningBench
from models.config.cut import CutConfig
from models.tuning.trials import Setting, Trial, solve

SETTINGS = {"adaptive": CutConfig(), "paper": CutConfig(thresholds="paper")}
TURNS = 5  # requests a picture and setting
LIMIT = 100.0  # milliseconds


class SimulatedBench(TuningBench):
    """The page's bench on trials in memory in place of a dataset."""

    def __init__(self, trials: list[Trial], cut: CutConfig) -> None:
        self.rows, self.start, self._busy = list(range(len(trials))), Setting(cut, 5), Lock()
        self._trial, self._base = lru_cache(trials.__getitem__), trials[0]
        self._cells, self._cut = lru_cache(self._read_cells), lru_cache(maxsize=1)(self._solve)


def run(photos: Path | None, count: int) -> dict[str, Any]:
    """Milliseconds a mask on the banded grid, through the server, and on the full grid, for each setting."""
    rows, firsts, fulls = [], [], []
    for name, cut in SETTINGS.items():
        trials = [trial(image, mask, i, cut) for i, (image, mask) in enumerate(pictures(photos, count))]
        bench = SimulatedBench(trials, cut)
        asked, coarse = requests(bench, "mask"), requests(bench, "coarse")
        full = Setting(cut.model_copy(update={"grid": "full"}), 5)
        whole = [timed(each, full) for each in trials]
        first, banded = (np.percentile(times, (50, 95)).tolist() for times in (coarse, asked))
        dense = float(np.median(whole))
        rows.append([name, *first, *banded, dense, dense / banded[0]])
        firsts.append(first[1])
        fulls.append(banded[1])
    shown, worst = max(firsts), max(fulls)
    return {
        "count": count,
        "source": "pocket scenes" if photos is None else "photographs",
        "tables": [
            {
                "title": "A mask on the tuning page",
                "columns": [
                    "thresholds",
                    "on the cells, ms",
                    "95 %",
                    "banded, ms",
                    "95 %",
                    "full grid, ms",
                    "times as long",
                ],
                "rows": rows,
                "note": f"{SIZE}x{SIZE} pixels, {GRID}x{GRID} cells; from the request to the whole answer, by the "
                "clock; the full grid's cut alone. The page shows the cells' mask until the banded one is there. The "
                f"machine's load was {os.getloadavg()[0]:.1f}.",
            }
        ],
        "verdicts": {
            f"95 % of the masks on the cells in under {LIMIT:g} ms": f"{shown:.0f} ms, {verdict(shown)}",
            f"95 % of the masks as a recut solves them in under {LIMIT:g} ms": f"{worst:.0f} ms, {verdict(worst)}",
        },
    }


def verdict(worst: float) -> str:
    """Whether the limit is kept."""
    return "reached" if worst < LIMIT else "**not reached**"


def trial(image: np.ndarray, mask: np.ndarray, index: int, cut: CutConfig) -> Trial:
    """A picture with simulated evidence as a trial with one seed set."""
    evidence = simulate(mask, np.random.default_rng([0, index]))
    return Trial(image, evidence.affinities, {5: evidence.class_map}, {(5, cut.seed_set): evidence.refined})


def requests(bench: TuningBench, name: str) -> list[float]:
    """Milliseconds of each request for "mask" or "coarse"."""
    times = []
    with Server(bench) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        for turn in range(TURNS):
            for sample in bench.rows:
                body = json.dumps({"lambda": bench.start.cut.lambda_ * (1 + 0.1 * turn)})
                start = perf_counter()
                connection = http.client.HTTPConnection("127.0.0.1", server.port)
                headers = {"Content-Type": "application/json"}
                connection.request("POST", f"/{server.token}/{name}/{sample}", body, headers)
                answer = connection.getresponse()
                assert answer.read() and answer.status == 200
                times.append(1000 * (perf_counter() - start))
        server.shutdown()
    return times


def timed(trial: Trial, setting: Setting) -> float:
    """Milliseconds of a cut alone."""
    start = perf_counter()
    solve(trial, setting)
    return 1000 * (perf_counter() - start)
