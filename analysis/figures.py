"""Pictures of samples and of distributions: arrays in, arrays or encoded bytes out.

Knows nothing of a report's layout. Letters: H, W image pixels; h, w attention cells; S longest side of a drawn tile.
Colours: kept teal, rejected orange, failed grey, everywhere.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from math import log
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import binary_dilation

from models.errors import UserError

if TYPE_CHECKING:
    from storage.dataset.reader import Dataset

COLOURS = {"kept": "#0f766e", "rejected": "#ea580c", "failed": "#6b7280", "unfinished": "#d1d5db"}
MAGMA = np.rint(matplotlib.colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)  # (256, 3)
# Each channel of the background: 45 % of (40 % of itself + 60 % of the mean of all three), as Pillow's matrix.
DIMMED = tuple(np.hstack([0.45 * (0.4 * np.eye(3) + 0.6 / 3), np.zeros((3, 1))]).ravel().tolist())
GAP = 4  # white pixels between tiles


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with dimmed background and the mask's outline: (H, W, 3) uint8, (H, W) bool -> (H, W, 3) uint8."""
    ground = np.asarray(Image.fromarray(image).convert("RGB", DIMMED))
    shown = np.where(mask[..., None], image, ground)
    width = max(1, round(min(mask.shape) / 128))
    shown[binary_dilation(mask, iterations=width) & ~mask] = (255, 230, 0)
    return shown


def heat(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map, scaled to its range and resized to `size` (H, W): (h, w) float -> (H, W, 3) uint8; not finite is 0."""
    finite = np.nan_to_num(np.asarray(cells, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    span = float(finite.max() - finite.min())
    unit = (finite - finite.min()) / span if span > 0 else np.zeros_like(finite)
    smooth = Image.fromarray(unit).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return MAGMA[np.rint(np.clip(np.asarray(smooth), 0, 1) * 255).astype(np.uint8)]


def framed(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4), x0, y0, x1, y1 with exclusive ends, outlined on their image: (H, W, 3) uint8 -> the same."""
    shown, width = image.copy(), max(1, round(min(image.shape[:2]) / 96))
    for x0, y0, x1, y1 in boxes:
        part = shown[y0:y1, x0:x1]
        part[:width] = part[-width:] = part[:, :width] = part[:, -width:] = (255, 230, 0)
    return shown


def tiles(image: np.ndarray, mask: np.ndarray, side: int, maps: Iterable[np.ndarray] = ()) -> list[np.ndarray]:
    """Image, mask, overlay and the maps, with longest side at most `side`: a list of (H', W', 3) uint8."""
    scale = min(1.0, side / max(mask.shape))
    size = (max(1, round(mask.shape[0] * scale)), max(1, round(mask.shape[1] * scale)))
    small = np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.LANCZOS))
    small_mask = np.asarray(
        Image.fromarray(mask.astype(np.uint8) * 255).resize((size[1], size[0]), Image.Resampling.BOX)
    )
    drawn = [small, np.repeat(small_mask[..., None], 3, axis=2), overlay(small, small_mask > 127)]
    return [*drawn, *(heat(cells, size) for cells in maps)]


def sheet(dataset: "Dataset", indices: Iterable[int], side: int) -> np.ndarray:
    """Three rows, image / mask / overlay, and one column per sample, on white: (height, width, 3) uint8."""
    columns = []
    for index in indices:
        sample = dataset[int(index)]
        drawn = tiles(sample.image, sample.mask, side)
        columns.append(np.concatenate([_padded(tile) for tile in drawn]))
    return np.pad(np.concatenate(columns, axis=1), ((0, GAP), (0, GAP), (0, 0)), constant_values=255)


def compared(
    images: Sequence[np.ndarray], masks: Sequence[Sequence[np.ndarray]], side: int, columns: int = 8
) -> np.ndarray:
    """Images above their overlays with several masks each, on white: (height, width, 3) uint8.

    images: (H, W, 3) uint8; masks: for each image the masks (H, W) bool to lay over it, in the order of the rows. A
    block of rows has at most `columns` images; the next ones follow below, after a gap.
    """
    stacks = []
    for image, each in zip(images, masks, strict=True):
        small = tiles(image, each[0], side)[0]
        stacks.append(np.concatenate([_padded(tile) for tile in (small, *(tiles(image, m, side)[2] for m in each))]))
    blank = np.full_like(stacks[0], 255)
    blocks = [stacks[i : i + columns] for i in range(0, len(stacks), columns)]
    full = min(columns, len(stacks))
    rows = [np.concatenate([*block, *[blank] * (full - len(block))], axis=1) for block in blocks]
    return np.concatenate([np.pad(row, ((0, 4 * GAP), (0, GAP), (0, 0)), constant_values=255) for row in rows])


def _padded(tile: np.ndarray) -> np.ndarray:
    """A tile with white above and to its left."""
    return np.pad(tile, ((GAP, 0), (GAP, 0), (0, 0)), constant_values=255)


def contact_sheet(dataset: "Dataset", count: int = 8) -> bytes:
    """A PNG of `count` kept samples from all classes, rows image / mask / overlay; UserError if none are kept."""
    chosen = showcase(dataset, count)
    if not chosen:
        raise UserError(f"{dataset.path}: has no kept sample to draw; see its report for the reasons")
    return encode(sheet(dataset, chosen, side=256), "PNG")


def showcase(dataset: "Dataset", count: int) -> list[int]:
    """Indices of up to `count` kept samples, one per class in turn, in the order of the dataset."""
    frame = dataset.frame()
    kept = frame[frame["status"] == "kept"]
    turn = kept.groupby("category").cumcount()
    return [int(index) for index in turn.sort_values(kind="stable").index[:count]]


def encode(picture: np.ndarray, kind: str, quality: int = 88, **options: Any) -> bytes:
    """(H, W, 3) uint8 -> bytes of a PNG, JPEG or WEBP file; `options` are Pillow's for the kind."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, quality=quality, **options)
    return buffer.getvalue()


def scale_curve(lines: Mapping[str, list[tuple[int, float]]]) -> bytes:
    """IoU against training samples on a logarithmic axis; lines: (samples, IoU) in order; bytes of a PNG."""
    with matplotlib.rc_context({"font.family": "sans-serif", "font.size": 9, "text.parse_math": False}):
        figure = Figure(figsize=(5.6, 3.4), dpi=200, layout="constrained")
        axes = figure.subplots()
        for name, points in lines.items():
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=shorten(name, 90, placeholder=" ..."))
        axes.set(xlabel="training samples", ylabel="IoU", xscale="log")
        samples = thinned({number for points in lines.values() for number, _ in points})
        axes.set_xticks(samples, [f"{number:,}" for number in samples], rotation=45, ha="right", rotation_mode="anchor")
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        figure.legend(loc="outside lower left", frameon=False, fontsize=8)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def thinned(samples: set[int], share: float = 0.05) -> list[int]:
    """The numbers whose labels fit on a logarithmic axis: at least `share` of its length apart."""
    kept: list[int] = []
    for number in sorted(samples):
        if not kept or log(number / kept[-1]) >= share * log(max(samples) / min(samples)):
            kept.append(number)
    return kept
