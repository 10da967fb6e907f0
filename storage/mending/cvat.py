"""The masks of a CVAT for images 1.1 file: annotations.xml, or the .zip that CVAT exports it in. Knows no dataset."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import numpy as np
from skimage.draw import polygon2mask

from models.errors import UserError
from storage.mending.marks import REJECT, Mended, check_size, file_at, index_of
from storage.mending.run_lengths import mask_of

XML = "annotations.xml"
SHAPES = ("box", "polygon", "polyline", "points", "ellipse", "cuboid", "skeleton", "mask")


def read_cvat(path: Path, size: tuple[int, int]) -> Iterator[Mended]:
    """Each image of the file with its masks and polygons put together; an image without them has an empty mask.

    size: (H, W) of the images. A tag `reject` rejects its sample. UserError for other shapes and sizes, and where the
    file is not valid.
    """
    images = 0
    with _opened(path) as file:
        try:
            for _, element in ElementTree.iterparse(file, events=("end",)):
                if element.tag == "image":
                    yield _image(element, size)
                    element.clear()
                    images += 1
                elif element.tag == "track":
                    raise UserError(f"{path}: holds tracks of a video; export it as 'CVAT for images 1.1'")
        except ElementTree.ParseError as error:
            raise UserError(f"{path}: is not valid XML ({error}); export it as 'CVAT for images 1.1'") from None
    if not images:
        raise UserError(f"{path}: holds no image; export it as 'CVAT for images 1.1'")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive, archive.open(XML) as file:
                yield file
        else:
            with file_at(path, XML).open("rb") as file:
                yield file
    except (zipfile.BadZipFile, KeyError):
        raise UserError(f"{path}: is no .zip with {XML} in it; export it as 'CVAT for images 1.1'") from None


def _image(element: ElementTree.Element, size: tuple[int, int]) -> Mended:
    name = element.get("name", "")
    index, mark = index_of(name)
    try:
        check_size((int(element.attrib["height"]), int(element.attrib["width"])), size)
        mask = np.zeros(size, dtype=bool)
        shapes = [each for each in element if each.tag in SHAPES]
        for each in shapes:
            mask |= _part(each, size)
        labels = frozenset(each.get("label", "") for each in shapes)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    except (ValueError, KeyError):
        raise UserError(f"{name}: lacks a number where CVAT writes one; export the file again") from None
    rejected = any(each.tag == "tag" and each.get("label") == REJECT for each in element)
    return Mended(name, index, mark, mask, labels, rejected)


def _part(element: ElementTree.Element, shape: tuple[int, int]) -> np.ndarray:
    """A mask's or polygon's pixels, (H, W) bool."""
    if element.tag == "mask":
        left, top, width, height = (int(element.attrib[side]) for side in ("left", "top", "width", "height"))
        if min(left, top, width, height) < 0 or left + width > shape[1] or top + height > shape[0]:
            raise UserError("the box of a mask does not lie in the image; draw it again")
        whole = np.zeros(shape, dtype=bool)
        counts = [int(count) for count in element.attrib["rle"].split(",")]
        whole[top : top + height, left : left + width] = mask_of(counts, (height, width))
        return whole
    if element.tag == "polygon":
        points = [[float(value) for value in pair.split(",")] for pair in element.attrib["points"].split(";")]
        return np.asarray(polygon2mask(shape, np.array(points)[:, ::-1] - 0.5))  # a pixel by its centre
    raise UserError(f"expected masks or polygons, found a {element.tag}; draw it with the brush or as a polygon")
