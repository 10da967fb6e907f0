"""What the tuning page shows and does: a snapshot's samples, solved under any setting; the config; the recut.

One mask is solved at a time, as a build or a recut solves it. The recut runs as the command `maskmill recut`, in a
process of its own: its server and its signals stay apart from the page's.
"""

import base64
import json
import sys
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np

from analysis.figures import encode, heat
from analysis.tuning_page.job import Job
from analysis.tuning_page.server import Unwanted, Values, Wanted
from flows.checks.tune import TUNED
from flows.tune import tuned, write_config
from models.config.build import BuildConfig
from models.cut.attentioncut import Cut
from models.errors import UserError
from models.tuning.fields import fields_of, setting_from
from models.tuning.score import judged
from models.tuning.trials import Setting, Trial, solve
from storage.dataset.reader import open_dataset
from storage.dataset.trials import setting_of, trial_of, trial_rows

CUTS = 128  # solved masks that stay in memory: 40 MB at 512x512


class TuningBench:
    """The samples of a dataset's published version; UserError if it has no mask or is damaged."""

    def __init__(self, out: Path, samples: int) -> None:
        self.dataset = open_dataset(out)
        self.rows = [int(row) for row in trial_rows(self.dataset, samples)]
        self.start = setting_of(self.dataset)
        self.job, self._busy = Job(), Lock()
        self._trial = lru_cache(maxsize=None)(self._read)
        self._cells = lru_cache(maxsize=None)(self._read_cells)
        self._cut = lru_cache(maxsize=CUTS)(self._solve)
        self._base = self._trial(self.rows[0])

    def state(self) -> dict[str, Any]:
        """The dataset, its samples and the controls."""
        frame = self.dataset.frame().loc[self.rows]
        texts = zip(self.rows, frame["category"], frame["prompt"], frame["status"], strict=True)
        names = ("sample", "category", "prompt", "status")
        return {
            "dataset": str(self.dataset.path),
            "name": Path(self.dataset.path).name,
            "version": self.dataset.version,
            "size": list(self.dataset.image_size),
            "samples": [dict(zip(names, each, strict=True)) for each in texts],
            "fields": [asdict(field) for field in fields_of(self.start, self._base)],
        }

    def image(self, sample: int) -> bytes:
        """A JPEG of a sample's image."""
        return encode(self._of(sample).image, "JPEG", quality=92)

    def mask(self, sample: int, values: Values, wanted: Wanted, coarse: bool = False) -> dict[str, Any]:
        """A sample's mask and maps, PNGs in base64, under the values; Unwanted if nobody waits when it could start.

        coarse: the mask of the attention cells, which the page shows until the other is solved.
        """
        setting, trial = self._setting(values), self._of(sample)
        solved, seconds = self._solved(sample, setting, wanted, coarse)
        evidence = trial.evidence(setting)
        maps = {"A_c": evidence.class_map, "r": evidence.refined, "objectness": solved.objectness}
        return {
            "mask": _png(solved.mask),
            "maps": {name: _png(heat(values, trial.grid)) for name, values in maps.items()},
            "area": float(solved.mask.mean()),
            "uncertainty": float(solved.uncertainty),
            "milliseconds": 1000 * seconds,
        }

    def score(self, values: Values, wanted: Wanted) -> dict[str, Any]:
        """The score that `maskmill tune` prints of the values; Unwanted if nobody waits for it any more."""
        setting = self._setting(values)
        masks = [self._solved(row, setting, wanted)[0].mask for row in self.rows]
        return asdict(judged([self._trial(row) for row in self.rows], masks))

    def write(self, values: Values) -> dict[str, Any]:
        """Write the config that `maskmill build --config` takes, where `maskmill tune` writes it."""
        config = tuned(BuildConfig.of_stored(self.dataset.config), self._setting(values))
        return {"file": str(write_config(config, Path(self.dataset.path) / TUNED))}

    def recut(self, values: Values) -> dict[str, Any]:
        """Start `maskmill recut` with the values; UserError while one runs."""
        self.job.start(recut_command(Path(self.dataset.path), self._setting(values)))
        return self.progress()

    def progress(self) -> dict[str, Any]:
        """How the recut stands; at its end the version that it published, which may be the one before."""
        state = self.job.state()
        if state["code"] == 0:
            state["version"] = open_dataset(Path(self.dataset.path)).version
        return state

    def close(self) -> None:
        """End a recut that runs; the same command resumes it."""
        self.job.stop()

    def _setting(self, values: Values) -> Setting:
        return setting_from(self.start, values, self._base)

    def _of(self, sample: int) -> Trial:
        if sample not in self.rows:
            raise UserError(f"sample {sample}: is not among those of the page")
        return self._trial(sample)

    def _read(self, sample: int) -> Trial:
        return trial_of(self.dataset, sample)

    def _read_cells(self, sample: int) -> Trial:
        return self._trial(sample).on_cells()

    def _solve(self, sample: int, setting: Setting, coarse: bool) -> Cut:
        trial = self._trial(sample)
        return solve(self._cells(sample), setting.on_cells(trial)) if coarse else solve(trial, setting)

    def _solved(self, sample: int, setting: Setting, wanted: Wanted, coarse: bool = False) -> tuple[Cut, float]:
        """The cut, and the seconds that it took."""
        with self._busy:
            if not wanted():
                raise Unwanted
            start = perf_counter()
            return self._cut(sample, setting, coarse), perf_counter() - start


def recut_command(out: Path, setting: Setting) -> list[str]:
    """The command that solves the dataset's masks under a setting, as `maskmill tune` would."""
    cut = setting.cut.model_dump(mode="json", by_alias=True)
    values = {f"cut.{name}": value for name, value in cut.items()}
    values |= {"sampling.top_k": setting.top_k, "tuned": True}
    sets = [part for name, value in values.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    return [sys.executable, "-m", "maskmill", "recut", str(out), *sets]


def _png(picture: np.ndarray) -> str:
    """(H, W) bool or (H, W, 3) uint8 -> a PNG in base64."""
    return base64.b64encode(encode(picture, "PNG", compress_level=1)).decode()
