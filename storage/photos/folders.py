"""Benchmarks as folders on disk: photographs with masks, or with boxes. A table gives the layout of each set.

docs/benchmark-folders.md describes the layouts. Files are paired when a benchmark is opened, and read on request.
Knows nothing of predictions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models import digests
from models.errors import UserError
from models.paths import given_path
from storage.photos.boxes import coco_boxes, listed, some, voc_boxes
from storage.photos.pictures import PHOTO_SUFFIXES, is_picture, read_grey_mask, read_photo, same_size

MASK_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
PLAIN = ("images", "masks")


@dataclass(frozen=True)
class Layout:
    """The layout of a set with masks.

    folders: candidates for (photos, masks) below the given folder; the first pair that exists is used, and `images`
    and `masks` are tried last. A photo and its mask have the same path below these, apart from the suffix.
    chosen: from the given folder, the names without suffix of the benchmark's photos, if it is part of a set.
    """

    folders: tuple[tuple[str, str], ...] = ()
    photo_suffixes: tuple[str, ...] = PHOTO_SUFFIXES
    mask_suffixes: tuple[str, ...] = MASK_SUFFIXES
    chosen: Callable[[Path], list[str]] | None = None


@dataclass(frozen=True)
class Benchmark:
    """Photos with ground truth: boxes if `has_boxes`, else masks. names: paths below the photos' folder, no suffix."""

    names: tuple[str, ...]
    photos: tuple[Path, ...]
    truths: tuple[Path, ...] | tuple[np.ndarray, ...]
    has_boxes: bool

    def __len__(self) -> int:
        return len(self.names)

    def digest(self) -> str:
        """Digest of the pairs' names, 8 hexadecimal digits."""
        return digests.of(self.names, length=8)

    def pair(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8, and its mask (H, W) bool or boxes (N, 4) int: x0, y0, x1, y1 with exclusive ends.

        UserError if a file cannot be read, or the sizes of the pair differ.
        """
        photo, truth = self.grey_pair(i)
        return photo, truth if self.has_boxes else truth > 127

    def grey_pair(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """`pair` with the mask as stored in its file, (H, W) uint8."""
        photo, truth = read_photo(self.photos[i]), self.truths[i]
        if isinstance(truth, np.ndarray):
            return photo, truth
        mask = read_grey_mask(truth)
        if mask.shape != photo.shape[:2]:
            sizes = " and ".join(f"{width} x {height}" for height, width in (photo.shape[:2], mask.shape))
            raise UserError(
                f"{truth}: expected a mask of the size of {self.photos[i]}, after rotation by EXIF, got {sizes}; "
                "store both upright and in one size"
            )
        return photo, mask

    def check_headers(self) -> None:
        """UserError naming the first files that are not pictures, or pairs whose sizes differ, by their headers."""
        files = [*self.photos, *(truth for truth in self.truths if isinstance(truth, Path))]
        if wrong := {str(file) for file in files if not is_picture(file)}:
            raise UserError(f"{some(wrong)}: expected pictures, got unreadable files; replace or remove them")
        self.check_sizes()

    def check_sizes(self) -> None:
        """UserError naming the first pairs whose photo and mask differ in size, by their headers.

        Unreadable files pass, and so do pairs whose sizes differ only by EXIF's rotation; `pair` rejects both.
        """
        truths = [truth for truth in self.truths if isinstance(truth, Path)]
        pairs = zip(self.photos, truths, strict=True)
        if unequal := {str(truth) for photo, truth in pairs if not same_size(photo, truth)}:
            raise UserError(f"{some(unequal)}: expected masks of their photos' sizes; store each pair in one size")


def cub_test(path: Path) -> list[str]:
    """The names of CUB-200's 1,000 test photos: those with part 2 in ReDO's train_val_test_split.txt."""
    part, photos = _numbered(path / "train_val_test_split.txt"), _numbered(path / "images.txt")
    return [Path(name).with_suffix("").as_posix() for number, name in photos.items() if part.get(number) == "2"]


def _numbered(path: Path) -> dict[str, str]:
    """Number -> the word beside it, from a list in two columns."""
    rows = [line.split() for line in listed(path)]
    if wrong := [row for row in rows if len(row) != 2]:
        raise UserError(f"{path}: expected a number and one word per line, found {' '.join(wrong[0])!r}")
    return dict(rows)


def dis5k(part: str) -> Layout:
    """The layout of a part of DIS5K."""
    return Layout(((f"DIS-{part}/im", f"DIS-{part}/gt"), ("im", "gt")))


LAYOUTS = {
    "ECSSD": Layout((("images", "ground_truth_mask"),)),
    "DUTS-TR": Layout((("DUTS-TR-Image", "DUTS-TR-Mask"),)),
    "DUTS-TE": Layout((("DUTS-TE-Image", "DUTS-TE-Mask"),)),
    "DUT-OMRON": Layout((("DUT-OMRON-image", "pixelwiseGT-new-PNG"),)),
    # Some copies keep photos and masks in one folder and distinguish them by their suffixes.
    "PASCAL-S": Layout((("datasets/imgs/pascal", "datasets/masks/pascal"), ("Imgs", "Imgs")), (".jpg",), (".png",)),
    "HKU-IS": Layout((("imgs", "gt"),)),
    "CUB-200": Layout((("images", "segmentations"),), chosen=cub_test),
    **{f"DIS-{part}": dis5k(part) for part in ("TR", "VD", "TE1", "TE2", "TE3", "TE4")},
    "folder": Layout(),
}
BOXED: dict[str, Callable[[Path], dict[Path, np.ndarray]]] = {
    "VOC07": lambda path: voc_boxes(path, 2007),
    "VOC12": lambda path: voc_boxes(path, 2012),
    "COCO20K": coco_boxes,
}


def open_folder(layout: str | Layout, path: str | Path) -> Benchmark:
    """The benchmark in a folder, by name (a key of LAYOUTS or BOXED) or by a custom layout.

    UserError for an unknown name, a folder without the layout's subfolders, an empty set, photos without masks or
    boxes, and masks without photos.
    """
    path = given_path(path)
    if isinstance(layout, Layout):
        return _masked(layout, path)
    if layout in LAYOUTS:
        return _masked(LAYOUTS[layout], path)
    if layout in BOXED:
        boxes = BOXED[layout](path)
        return Benchmark(tuple(p.stem for p in boxes), tuple(boxes), tuple(boxes.values()), has_boxes=True)
    known = ", ".join([*LAYOUTS, *BOXED])
    raise UserError(f"expected a benchmark among {known}, got {layout}; for your own images and masks, use folder")


def _masked(layout: Layout, path: Path) -> Benchmark:
    """The pairs of a layout, in the order of their names."""
    photo_folder, mask_folder = _find(layout, path)
    photos = _by_name(photo_folder, layout.photo_suffixes)
    masks = _by_name(mask_folder, layout.mask_suffixes)
    if layout.chosen and (photo_folder.name, mask_folder.name) != PLAIN:
        names = layout.chosen(path)
        photos, masks = ({n: files[n] for n in names if n in files} for files in (photos, masks))
        _refuse(f"{path}: no photo for the listed", set(names) - set(photos))
    _refuse(f"{mask_folder}: no mask for", {str(photos[n]) for n in set(photos) - set(masks)})
    _refuse(f"{photo_folder}: no photo for", {str(masks[n]) for n in set(masks) - set(photos)})
    if not photos:
        raise UserError(f"{photo_folder}: expected photos ({', '.join(layout.photo_suffixes)}), found none")
    names = sorted(photos)
    return Benchmark(tuple(names), tuple(photos[n] for n in names), tuple(masks[n] for n in names), has_boxes=False)


def _find(layout: Layout, path: Path) -> tuple[Path, Path]:
    """The first of the layout's pairs of folders that exists."""
    pairs = [(path / photos, path / masks) for photos, masks in (*layout.folders, PLAIN)]
    for photos, masks in pairs:
        if photos.is_dir() and masks.is_dir():
            return photos, masks
    looked = ", or ".join(f"{photos.relative_to(path)} and {masks.relative_to(path)}" for photos, masks in pairs)
    raise UserError(f"{path}: expected the folders {looked}, found neither; see docs/benchmark-folders.md")


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Path below the folder, without suffix -> file. Hidden files and files with other suffixes are left out."""
    files: dict[str, Path] = {}
    for path in _files(folder, suffixes):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in files:
            raise UserError(f"{folder}: expected one file per name, found {files[name]} and {path}; remove one")
        files[name] = path
    return files


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in suffixes and path.is_file() and not hidden:
            yield path


def _refuse(complaint: str, names: set[str]) -> None:
    """UserError with the first few names, if there are any."""
    if names:
        raise UserError(f"{complaint} {some(names)}; expected a mask for each photo: complete the pairs or remove them")
