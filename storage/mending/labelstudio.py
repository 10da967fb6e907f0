"""The masks of a Label Studio project, exported as JSON. Knows no dataset.

What identifies a sample is in each task's data, which Label Studio keeps: index, version and snapshot.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import UserError
from storage.mending.marks import REJECT, Mark, Mended, check_size, file_at
from storage.mending.run_lengths import unpacked

TASKS = "tasks.json"
AGAIN = "export the project as JSON"


def read_labelstudio(path: Path, size: tuple[int, int]) -> Iterator[Mended]:
    """The annotated tasks, each with its brush strokes put together; tasks without an annotation are left out.

    size: (H, W) of the images. The choice `reject` rejects a sample. UserError for other shapes and sizes, for a task
    with several annotations, and where the file is not valid.
    """
    try:
        tasks = json.loads(file_at(path, TASKS).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: is not valid JSON ({error}); {AGAIN}") from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise UserError(f"{path}: is not a list of tasks with their data; {AGAIN} (not JSON-MIN)")
    for number, task in enumerate(tasks, start=1):
        place = f"task {task.get('id', number)}"
        try:
            annotations = [each for each in task.get("annotations", []) if not each.get("was_cancelled")]
            if len(annotations) > 1:
                raise UserError(f"{place}: has {len(annotations)} annotations; delete all but one in Label Studio")
            if annotations:
                yield _mended(place, task["data"], annotations[0]["result"], size)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{place}: lacks what maskmill exported ({error}); {AGAIN}") from None


def _mended(place: str, data: dict[str, Any], results: list[dict[str, Any]], size: tuple[int, int]) -> Mended:
    mark, labels, rejected = Mark(str(data["version"]), str(data["snapshot"])), set[str](), False
    mask = np.zeros(size, dtype=bool)
    for result in results:
        kind, value = result["type"], result.get("value", {})
        if kind == "choices":
            rejected |= REJECT in value["choices"]
            continue
        if kind != "brushlabels":
            raise UserError(f"{place}: expected brush strokes, found {kind}; draw it with the brush")
        if result.get("image_rotation", 0):
            raise UserError(f"{place}: its image is rotated in Label Studio; rotate it back")
        try:
            check_size((result["original_height"], result["original_width"]), size)
            mask |= unpacked(value["rle"], size)
        except UserError as error:
            raise UserError(f"{place}: {error}") from None
        labels.update(value["brushlabels"])
    return Mended(place, int(data["index"]), mark, mask, frozenset(labels), rejected)
