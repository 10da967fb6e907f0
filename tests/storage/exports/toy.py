"""An export in one file, as a user would add it: the mask's area of each sample, a text file a split."""

from pathlib import Path

import numpy as np

from storage.dataset.reader import Dataset
from storage.exports.formats.base import Facts, Files, Format, name_of, samples_of
from storage.exports.plan import Block, Plan


class ToyFormat(Format):
    """SPLIT.txt with a line a sample: its name, its class's number and its pixels."""

    title = "Areas"
    loading = 'areas = open("SPLIT.txt").read().splitlines()'
    losses = "All but the area."
    files = (Files("areas", "text/plain", "*.txt"),)

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        lines = [
            f"{name_of(sample.index)} {plan.label(sample.category)} {np.count_nonzero(sample.mask)}"
            for sample in samples_of(dataset, block)
        ]
        return Facts(rows=lines)

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:
        for split, of_split in facts.items():
            (folder / f"{split}.txt").write_text("\n".join(of_split.rows))
