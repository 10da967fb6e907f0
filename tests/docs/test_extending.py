"""The worked examples of docs/extending.md are code that works as it is printed."""

import importlib
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text()
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"^ *```python\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)]


def block_with(text: str) -> str:
    (found,) = (block for block in BLOCKS if text in block)
    return found


@pytest.fixture
def threshold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example's folder, beside the other segmenters' until the test ends."""
    import models.segmenters

    folder = tmp_path / "threshold"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""A threshold."""\n')
    (folder / "config.py").write_text(block_with("class ThresholdConfig"))
    (folder / "segmenter.py").write_text(block_with("class Segmenter"))
    monkeypatch.setattr(models.segmenters, "__path__", [*models.segmenters.__path__, str(tmp_path)])
    yield importlib.import_module("models.segmenters.threshold.segmenter")
    for name in [name for name in sys.modules if name.startswith("models.segmenters.threshold")]:
        del sys.modules[name]


def test_the_segmenter_learns(threshold: ModuleType) -> None:
    import torch
    from models.segmenters.threshold.config import ThresholdConfig

    segmenter = threshold.Segmenter(ThresholdConfig())
    brightness = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    batch = {
        "image": torch.from_numpy(brightness[..., None].repeat(3, axis=-1)),
        "mask": torch.from_numpy(brightness > 180),
    }
    optimiser = torch.optim.SGD(segmenter.network.parameters(), lr=0.05)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = segmenter.loss(segmenter.network, batch)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and segmenter.network.threshold.item() == pytest.approx(180 / 255, abs=0.03)
    soft = segmenter.soft_masks(batch)
    assert soft.shape == (4, 8, 8) and soft.dtype == np.float32
    np.testing.assert_allclose(segmenter.predict(list(batch["image"].numpy()))[1], soft[1], rtol=1e-5)


def test_the_score_of_the_rule_is_what_it_says() -> None:
    names: dict = {"np": np}
    exec(block_with("def lower_share"), names)
    score = names["lower_share"]
    mask = np.zeros((4, 4), bool)
    assert np.isnan(score(mask))
    mask[1:3, 1] = True
    assert score(mask) == 0.5
    mask[3] = True
    assert score(mask) == 5 / 6


def test_the_export_reads_back_as_the_same_masks(tmp_path: Path) -> None:
    from storage.exports.plan import Block

    names: dict = {}
    exec(block_with("class RunsFormat"), names)
    masks = [np.zeros((3, 5), bool), np.ones((3, 5), bool), np.eye(3, 5, dtype=bool)]
    samples = [Sample(index, mask) for index, mask in enumerate(masks)]
    form = names["RunsFormat"]()
    facts = form.write(tmp_path, None, Block("train", 0, 1, (0, 1, 2)), samples)
    form.finish(tmp_path, None, {"train": facts})
    found = json.loads((tmp_path / "train.json").read_text())
    for index, mask in enumerate(masks):
        lengths = found[f"{index:06d}"]
        values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(mask.shape)
        np.testing.assert_array_equal(values, mask)
        assert (tmp_path / "train" / f"{index:06d}.png").exists()


class Sample:
    """What the example looks at of a sample."""

    def __init__(self, index: int, mask: np.ndarray):
        self.index, self.mask, self.image = index, mask, np.zeros((*mask.shape, 3), np.uint8)
