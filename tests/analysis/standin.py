"""A dataset held in memory with the interface that the report reads: rendered scenes, no store, no network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from models.pocket.scenes import render
from storage.dataset.prompt_store import no_rows

REASONS = ("too small", "too uncertain", "class not recognised")


@dataclass(frozen=True)
class Sample:
    image: np.ndarray
    mask: np.ndarray
    prompt: str
    category: str
    status: str
    reason: str


class InMemoryDataset:
    """`count` rendered scenes; every fifth rejected, the last two failed and unfinished."""

    def __init__(self, path: Path, count: int, **columns: Any) -> None:
        scenes = [render(3, i) for i in range(count)]
        rng = np.random.default_rng(0)
        self.path, self.version, self.image_size, self.maskmill_version = path, "v1", (128, 128), "0.1.0"
        self.config_digest, self.sampled_in = "0123456789abcdef", ""
        self.config = {"backbone": "pocket", "seed": 3, "count": count, "classes": sorted({s.category for s in scenes})}
        maps = [gaussian_filter(s.mask.astype(np.float32), 8)[4::8, 4::8] for s in scenes]
        self.group = {
            "image": np.stack([s.image for s in scenes]),
            "mask": np.stack([s.mask for s in scenes]),
            "class_map": np.stack(maps) + rng.normal(0, 0.02, (count, 16, 16)).astype(np.float32),
            "refined": np.stack(maps) ** 2,
        }
        status = ["rejected" if i % 5 == 4 else "kept" for i in range(count)]
        status[-2:] = ["failed", "planned"]
        self._frame = pd.DataFrame(
            {
                "category": [s.category for s in scenes],
                "prompt": [s.caption for s in scenes],
                "prompt_source": "grammar",
                "seed": 3,
                "status": status,
                "reason": [REASONS[i // 5 % 3] if name == "rejected" else "" for i, name in enumerate(status)],
                "clip_score": rng.beta(9, 1, count),
                "uncertainty": rng.beta(2, 6, count),
                "area": [s.mask.mean() for s in scenes],
                "num_clamped": rng.integers(0, 40, count),
            }
        )
        self._frame.loc[count - 2 :, ["clip_score", "uncertainty", "area"]] = np.nan
        self._frame = self._frame.assign(**columns)

    def __len__(self) -> int:
        return len(self._frame)

    def __getitem__(self, index: int) -> Sample:
        row = self._frame.loc[index]
        image, mask = self.group["image"][index], self.group["mask"][index]
        return Sample(image, mask, row["prompt"], row["category"], row["status"], row["reason"])

    trial = None

    def frame(self) -> pd.DataFrame:
        return self._frame

    def prompt_store(self, table: str) -> pd.DataFrame:
        return no_rows(table)
