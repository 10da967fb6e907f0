"""The screening benchmark's rows, on samples whose IoU is known to depend on their area alone."""

import numpy as np
import pytest

from benchmarks.masks.screening import PRESET, by_choice, by_rule, verdict
from models.config.screening import ScreenConfig


@pytest.fixture
def table() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    area = np.concatenate([np.zeros(5), rng.uniform(0.01, 0.05, 15), rng.uniform(0.1, 0.4, 80)]).astype(np.float32)
    return {
        "area": area,
        "border": rng.choice([0.0, 0.3], 100),
        "num_components": np.ones(100, np.int32),
        "uncertainty": rng.uniform(0, 0.4, 100),
        "entropy": rng.uniform(0.8, 1, 100),
        "clip_score": np.full(100, 0.9, np.float32),
        "category": np.full(100, "ball", dtype=object),
        "prompt": np.array([f"ball {i}" for i in range(100)], dtype=object),
        "embedding": rng.normal(size=(100, 64)).astype(np.float16),
        "iou": np.where(area == 0, 0.0, np.where(area < 0.06, 0.5, 0.9)),
        "right": area > 0.06,
    }


def test_a_row_says_how_good_kept_and_rejected_are(table):
    rows = {row[0]: row[1:] for row in by_rule(table)}
    assert rows["empty masks"][0] == "5 of 100" and rows["empty masks"][2] == [0, 0, 0]
    rejected, kept, out, less, class_kept, class_out = rows["min_area 0.06"]
    assert (rejected, kept, out, class_kept, class_out) == ("15 of 95", [0.9] * 3, [0.5] * 3, 1, 0)
    assert less == pytest.approx([0.4] * 3)
    assert rows["max_components 1"][0] == "0" and rows["max_components 1"][2] == "none"
    assert abs(rows["max_border 0"][3][0]) < 0.1  # knows nothing of the IoU
    assert rows["drop_uncertain 0.1"][0] == "9 of 95"
    assert rows["**pocket's preset**"][0] == "28 of 100"  # 5 empty, 15 small, a tenth of the rest
    assert by_choice(table)[2][:2] == ["min_area 0.06", "15 of 95"]


def test_the_verdict_is_the_presets_difference(table):
    assert verdict(table)["the preset keeps the better"].startswith("yes, by 0.")
    assert verdict(table | {"iou": np.full(100, 0.5)})["the preset keeps the better"].startswith("**no**")


def test_the_preset_is_pockets():
    assert PRESET.clip == "pocket" and ScreenConfig() != PRESET
