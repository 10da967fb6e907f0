"""Photographs and masks that belong together by their names, of a folder in one of the layouts.

Someone's own files are refused if a partner is missing, or there twice. A published set is taken as its archives
unpack: such files are dropped or chosen from, and noted. Reads headers, never pixels.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.errors import UserError
from storage.photos.boxes import some
from storage.photos.layouts import MASK_SUFFIXES, PLAIN, Layout, find, innermost
from storage.photos.listing import files_in, pictures_in
from storage.photos.names import bare, partners
from storage.photos.notes import Notes
from storage.photos.pictures import PHOTO_SUFFIXES, header_size

Pairs = dict[str, tuple[Path, Path]]  # name of the photo -> photo and mask

CLOSE = 0.1  # a mask is resized to its photo if their aspect ratios differ by less
NO_MASK, NO_PHOTO = "dropped, a photo without a mask", "dropped, a mask without a photo"
TWICE = "left out, another file of its name is taken"
RESIZED, SHAPES = "resized, a mask of another size than its photo", "dropped, a mask of another shape than its photo"


@dataclass(frozen=True)
class _Side:
    """The photos or the masks. files: path below the folder, without suffix -> file; extra: those found by content."""

    folder: Path
    files: dict[str, Path]
    extra: frozenset[Path]


def paired(layout: Layout, path: Path, as_published: bool) -> tuple[Pairs, Notes]:
    """The pairs of a layout, in the order of their names, and the notes on other files; UserError if there are none."""
    notes = Notes()
    folders = find(layout, path)
    photos, masks = _sides(layout, folders, as_published, notes)
    if as_published and layout.chosen is None and not partners(photos.files, masks.files):
        folders = (innermost(folders[0]), innermost(folders[1]))
        notes = Notes()
        photos, masks = _sides(layout, folders, as_published, notes)
    if layout.chosen and tuple(folder.name for folder in folders) != PLAIN:
        photos, masks = _chosen(layout.chosen(path), photos, masks, path)
    if not photos.files:
        suffixes = ", ".join(layout.photo_suffixes)
        left_out = f" ({notes.line()})" if notes else ""
        raise UserError(f"{photos.folder}: expected photos ({suffixes}), found none{left_out}")
    found = partners(sorted(photos.files), masks.files)
    drops = as_published and bool(found)
    _account_for(photos, photos.files.keys() - found.keys(), masks.folder, notes, NO_MASK, drops)
    _account_for(masks, masks.files.keys() - set(found.values()), photos.folder, notes, NO_PHOTO, drops)
    if not found:
        raise UserError(f"{photos.folder}: expected a mask for each photo, found none ({notes.line()})")
    pairs = {name: (photos.files[name], masks.files[found[name]]) for name in sorted(found)}
    return (_of_one_shape(pairs, notes) if as_published else pairs), notes


def _chosen(names: list[str], photos: _Side, masks: _Side, path: Path) -> tuple[_Side, _Side]:
    """The listed photos and their masks; UserError if a photo is missing."""
    listed = partners(names, photos.files)
    if missing := set(names) - listed.keys():
        raise UserError(
            f"{path}: no photo for the listed {some(missing)}; expected a mask for each photo: complete the pairs or "
            "remove them"
        )
    masked = partners(names, masks.files)
    sides = zip((photos, masks), (listed, masked), strict=True)
    kept = [replace(side, files={name: side.files[name] for name in found.values()}) for side, found in sides]
    return kept[0], kept[1]


def _sides(layout: Layout, folders: tuple[Path, Path], as_published: bool, notes: Notes) -> tuple[_Side, _Side]:
    """The photos and the masks in their folders."""
    own, usual = (layout.photo_suffixes, layout.mask_suffixes), (PHOTO_SUFFIXES, MASK_SUFFIXES)
    by_suffix_alone = folders[0] == folders[1] or (own != usual and not as_published)
    found: list[tuple[list[Path], list[Path]]] = []
    for folder, suffixes, usually in zip(folders, own, usual, strict=True):
        if by_suffix_alone:
            files = files_in(folder, deep=True)
            found.append(([file for file in files if file.suffix.lower() in suffixes], []))
            for file in (file for file in files if file.suffix.lower() not in own[0] + own[1]):
                notes.add("left out, its suffix is not one of this layout's", file)
        else:
            by_suffix, by_content, others = pictures_in(folder, deep=True, usual=usually)
            found.append((by_suffix, by_content))
            notes.update(others)
    photos, masks = (
        _side(folder, *files, is_mask, as_published, notes)
        for folder, files, is_mask in zip(folders, found, (False, True), strict=True)
    )
    return photos, masks


def _side(
    folder: Path, by_suffix: list[Path], by_content: list[Path], is_mask: bool, as_published: bool, notes: Notes
) -> _Side:
    """The files by their names. Of several of one name one is chosen in a published set; else they are refused."""
    if as_published:
        frequency = Counter(file.suffix.lower() for file in by_suffix)

        def worth(file: Path) -> tuple[bool, int]:  # masks as .png are exact; photos are those the set has most of
            return is_mask and file.suffix.lower() != ".png", -frequency[file.suffix.lower()]

        by_suffix = sorted(by_suffix, key=worth)
    files: dict[str, Path] = {}
    for file in [*by_suffix, *by_content]:
        name = file.relative_to(folder).with_name(bare(file)).as_posix()
        other = files.setdefault(name, file)
        if other is not file and not as_published:
            raise UserError(f"{folder}: expected one file per name, found {other} and {file}; remove one")
        if other is not file:
            notes.add(TWICE, file, f"{other.name} is taken")
    return _Side(folder, files, frozenset(by_content))


def _account_for(side: _Side, lone: set[str], elsewhere: Path, notes: Notes, kind: str, as_published: bool) -> None:
    """Note the files without a partner, or refuse those that have a usual suffix and are someone's own."""
    own = {name for name in lone if not as_published and side.files[name] not in side.extra}
    if own:
        what = "mask" if kind == NO_MASK else "photo"
        names = some(str(side.files[name]) for name in own)
        raise UserError(
            f"{elsewhere}: no {what} for {names}; expected a mask for each photo: complete the pairs or remove them"
        )
    for name in sorted(lone):
        notes.add(kind, side.files[name])


def _of_one_shape(pairs: Pairs, notes: Notes) -> Pairs:
    """The pairs without those whose shapes differ; what will be resized is noted. Unreadable files pass."""
    kept = {}
    for name, (photo, mask) in pairs.items():
        upright, size = header_size(photo), header_size(mask)
        if upright is None or size is None or upright == size:
            kept[name] = photo, mask
            continue
        detail = f"{size[0]} x {size[1]}, its photo {upright[0]} x {upright[1]}"
        alike = close(upright, size)
        notes.add(RESIZED if alike else SHAPES, mask, detail)
        if alike:
            kept[name] = photo, mask
    if not kept:
        raise UserError(f"{notes.line()}; expected masks of their photos' sizes")
    return kept


def close(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether the aspect ratios of two sizes differ by less than CLOSE."""
    first, second = one[0] * other[1], one[1] * other[0]
    return abs(first - second) < CLOSE * max(first, second)


def nearest(mask: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A mask (H, W) at another size (H', W'), each pixel the nearest one's value."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for old, new in zip(mask.shape, size, strict=True)
    )
    return mask[rows[:, None], columns]
