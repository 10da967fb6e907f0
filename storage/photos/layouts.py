"""The layouts of the benchmarks with masks, by name: which folders hold the photographs, and which the masks.

docs/benchmark-folders.md describes them. Knows nothing of the files in the folders.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.errors import UserError
from storage.photos.boxes import listed
from storage.photos.names import bare, is_system
from storage.photos.pictures import PHOTO_SUFFIXES

MASK_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
PLAIN = ("images", "masks")
DEPTH = 3  # how many folders of an archive's own may lie around a set


@dataclass(frozen=True)
class Layout:
    """The layout of a set with masks.

    folders: candidates for (photos, masks) below the given folder; the first pair that exists is used, and `images`
    and `masks` are tried last. A photo and its mask have the same path below these, apart from the suffix.
    photo_suffixes, mask_suffixes: other files are pictures, too, if their content is one and these are the defaults;
    where photos and masks share a folder, the suffixes tell them apart.
    chosen: from the given folder, the names without suffix of the benchmark's photos, if it is part of a set.
    """

    folders: tuple[tuple[str, str], ...] = ()
    photo_suffixes: tuple[str, ...] = PHOTO_SUFFIXES
    mask_suffixes: tuple[str, ...] = MASK_SUFFIXES
    chosen: Callable[[Path], list[str]] | None = None


def cub_test(path: Path) -> list[str]:
    """The names of CUB-200's 1,000 test photos: those with part 2 in ReDO's train_val_test_split.txt."""
    part, photos = (_numbered(_beside(path, name)) for name in ("train_val_test_split.txt", "images.txt"))
    return [
        Path(name).with_name(bare(Path(name))).as_posix() for number, name in photos.items() if part.get(number) == "2"
    ]


def _beside(path: Path, name: str) -> Path:
    """A list in the given folder, or in the one that its archive unpacks to."""
    unpacked = path / "CUB_200_2011" / name
    return unpacked if unpacked.is_file() and not (path / name).is_file() else path / name


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
    "DUT-OMRON": Layout(
        tuple(
            ("DUT-OMRON-image", masks)
            for masks in ("pixelwiseGT-new-PNG", "DUT-OMRON-gt-pixelwise/pixelwiseGT-new-PNG")
        )
    ),
    # Some copies keep photos and masks in one folder and distinguish them by their suffixes.
    "PASCAL-S": Layout((("datasets/imgs/pascal", "datasets/masks/pascal"), ("Imgs", "Imgs")), (".jpg",), (".png",)),
    "HKU-IS": Layout((("imgs", "gt"),)),
    "CUB-200": Layout((("images", "segmentations"), ("CUB_200_2011/images", "segmentations")), chosen=cub_test),
    **{f"DIS-{part}": dis5k(part) for part in ("TR", "VD", "TE1", "TE2", "TE3", "TE4")},
    "folder": Layout(),
}


def find(layout: Layout, path: Path) -> tuple[Path, Path]:
    """The first of the layout's pairs of folders that exists, (photos, masks) below `path`."""
    pairs = [(path / photos, path / masks) for photos, masks in (*layout.folders, PLAIN)]
    for photos, masks in pairs:
        if photos.is_dir() and masks.is_dir():
            return photos, masks
    looked = ", or ".join(f"{photos.relative_to(path)} and {masks.relative_to(path)}" for photos, masks in pairs)
    raise UserError(f"{path}: expected the folders {looked}, found neither; see docs/benchmark-folders.md")


def unpacked(name: str, path: Path) -> Path:
    """The folder of a named set: `path`, or one below it, as archives put DUTS-TR/ around the set."""
    at = path
    for _ in range(DEPTH + 1):
        if any((at / photos).is_dir() and (at / masks).is_dir() for photos, masks in (*LAYOUTS[name].folders, PLAIN)):
            return at
        below = at / name if (at / name).is_dir() else _only_folder(at) if at.is_dir() else None
        if below is None:
            break
        at = below
    return path


def innermost(folder: Path) -> Path:
    """`folder`, or the one in it where an archive was unpacked into a folder of its own name."""
    for _ in range(DEPTH):
        if (below := _only_folder(folder)) is None:
            break
        folder = below
    return folder


def _only_folder(path: Path) -> Path | None:
    """The one folder in a folder, the system's not counted; None if there are none or several."""
    below = [each for each in path.iterdir() if each.is_dir() and not is_system(Path(each.name))]
    return below[0] if len(below) == 1 else None
