"""Run in the readers' environment: load an export with one reader, and write down what it finds.

    python load.py READER FOLDER OUT

A row is a dict: index of the sample, category, box [x0, y0, x1, y1] with exclusive ends, and mask (H, W) bool; what a
reader does not give is left out. Rows go to OUT/found.json, masks to OUT/masks.npz, by index. Imports nothing of ours.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(reader: str, folder: Path, out: Path) -> None:
    """Load with the function of that name."""
    import detection
    import labelling
    import tables

    functions = vars(detection) | vars(labelling) | vars(tables)
    rows, facts = functions[reader](folder)
    masks = {f"{row['index']:06d}": row.pop("mask") for row in rows if "mask" in row}
    np.savez_compressed(out / "masks.npz", **masks)
    found: dict[str, Any] = {"rows": rows, "facts": facts}
    (out / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
