"""Benchmarks as folders on disk: photographs with masks, or with boxes, of a layout in storage/photos/layouts.py.

docs/benchmark-folders.md describes them. Files are paired when a benchmark is opened, and read on request.
Knows nothing of predictions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from models import digests
from models.errors import UserError, encodable
from models.paths import given_path
from storage.photos.boxes import coco_boxes, some, voc_boxes
from storage.photos.layouts import LAYOUTS, Layout, unpacked
from storage.photos.notes import Notes
from storage.photos.pairing import close, nearest, paired
from storage.photos.pictures import is_picture, read_photo, read_truth, same_size

BOXED: dict[str, Callable[[Path], dict[Path, np.ndarray]]] = {
    "VOC07": lambda path: voc_boxes(path, 2007),
    "VOC12": lambda path: voc_boxes(path, 2012),
    "COCO20K": coco_boxes,
}


@dataclass(frozen=True)
class Benchmark:
    """Photos with ground truth: boxes if `has_boxes`, else masks. names: paths below the photos' folder, no suffix.

    as_published: whether it is a set that others made, whose masks are resized to their photos.
    notes: what was left out, dropped, resized or chosen, since the set's files are not as they should be.
    """

    names: tuple[str, ...]
    photos: tuple[Path, ...]
    truths: tuple[Path, ...] | tuple[np.ndarray, ...]
    has_boxes: bool
    as_published: bool = False
    notes: Notes = field(default_factory=Notes)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names as text that tables hold, which differ where names are not UTF-8."""
        return tuple(encodable(name) for name in self.names)

    def digest(self) -> str:
        """Digest of the pairs' names, 8 hexadecimal digits."""
        return digests.of(self.names, length=8)

    def pair(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8, and its mask (H, W) bool or boxes (N, 4) int: x0, y0, x1, y1 with exclusive ends.

        UserError if a file cannot be read, or the sizes of the pair differ.
        """
        photo, truth, _ = self.judged_pair(i)
        return photo, truth

    def judged_pair(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """`pair`, and the mask's pixels that are not judged, (H, W) bool; None if all are, and for boxes."""
        photo, truth, void = self.read(i)
        return photo, truth if self.has_boxes else truth > 127, void

    def grey_pair(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """`pair` with the mask as stored in its file, (H, W) uint8."""
        photo, truth, _ = self.read(i)
        return photo, truth

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """`judged_pair` with the mask as stored in its file, (H, W) uint8."""
        photo, truth = read_photo(self.photos[i]), self.truths[i]
        if isinstance(truth, np.ndarray):
            return photo, truth, None
        mask, void = read_truth(truth)
        if mask.shape != photo.shape[:2]:
            if self.as_published and close(mask.shape, photo.shape[:2]):
                size = photo.shape[:2]
                return photo, nearest(mask, size), None if void is None else nearest(void, size)
            sizes = " and ".join(f"{width} x {height}" for height, width in (photo.shape[:2], mask.shape))
            raise UserError(
                f"{truth}: expected a mask of the size of {self.photos[i]}, after rotation by EXIF, got {sizes}; "
                "store both upright and in one size"
            )
        return photo, mask, void

    def check_headers(self) -> None:
        """UserError naming the first files that are not pictures, or pairs whose sizes differ, by their headers."""
        files = [*self.photos, *(truth for truth in self.truths if isinstance(truth, Path))]
        if wrong := {str(file) for file in files if not is_picture(file)}:
            raise UserError(f"{some(wrong)}: expected pictures, got unreadable files; replace or remove them")
        self.check_sizes()

    def check_sizes(self) -> None:
        """UserError naming the first pairs whose photo and mask differ in size, by their headers.

        Unreadable files pass, and so do pairs whose sizes differ only by EXIF's rotation; `pair` rejects both. Of a
        published set, such pairs are resized or dropped when it is opened.
        """
        if self.as_published:
            return
        truths = [truth for truth in self.truths if isinstance(truth, Path)]
        pairs = zip(self.photos, truths, strict=True)
        if unequal := {str(truth) for photo, truth in pairs if not same_size(photo, truth)}:
            raise UserError(f"{some(unequal)}: expected masks of their photos' sizes; store each pair in one size")


def open_folder(layout: str | Layout, path: str | Path) -> Benchmark:
    """The benchmark in a folder, by name (a key of LAYOUTS or BOXED) or by a custom layout.

    A set with a name is opened as its archives unpack: its `notes` say what was resized, dropped or chosen. UserError
    for an unknown name, a folder without the layout's subfolders, an empty set, listed photos that are missing; for
    `folder` and custom layouts also for photos without masks, masks without photos, and two files of one name.
    """
    path = given_path(path)
    if isinstance(layout, Layout):
        return _masked(layout, path, as_published=False)
    if layout in LAYOUTS:
        as_published = layout != "folder"
        return _masked(LAYOUTS[layout], unpacked(layout, path) if as_published else path, as_published)
    if layout in BOXED:
        boxes = BOXED[layout](path)
        return Benchmark(tuple(p.stem for p in boxes), tuple(boxes), tuple(boxes.values()), has_boxes=True)
    known = ", ".join([*LAYOUTS, *BOXED])
    raise UserError(f"expected a benchmark among {known}, got {layout}; for your own images and masks, use folder")


def _masked(layout: Layout, path: Path, as_published: bool) -> Benchmark:
    pairs, notes = paired(layout, path, as_published)
    photos, masks = zip(*pairs.values(), strict=True)
    return Benchmark(tuple(pairs), photos, masks, has_boxes=False, as_published=as_published, notes=notes)
