"""The run lengths of masks as CVAT and Label Studio write them, encoded and decoded. Knows no file.

CVAT: counts of equal pixels row by row within a box, the first of background. Label Studio: the "rle-pack" bit stream
(thi.ng/rle-pack) of the flattened RGBA picture, of which the alpha channel is the mask: a head of 53 bits, then runs
and literals, each with a length of 3, 4, 8 or 16 bits and values of one byte.

Letters: H, W image pixels.
"""

from collections.abc import Sequence

import numpy as np

from models.errors import UserError

CHANNELS = 4
WORD = 8  # bits of a value
LENGTHS = np.array([3, 4, 8, 16])  # bits of a run's length, which is stored less 1
LONGEST = 2**16


def counts_of(mask: np.ndarray) -> list[int]:
    """A mask (H, W) bool as the lengths of its runs in row-major order, the first of background (0 if none)."""
    pixels = np.concatenate([[False], mask.ravel()])
    turns = np.flatnonzero(pixels[1:] != pixels[:-1])
    return np.diff(np.concatenate([[0], turns, [mask.size]])).tolist()


def mask_of(counts: Sequence[int], shape: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) bool of such runs; UserError if they do not fill the shape."""
    if min(counts, default=0) < 0 or sum(counts) != shape[0] * shape[1]:
        raise UserError(f"the runs of a mask do not fill its box of {shape[1]} x {shape[0]} pixels; draw it again")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(shape)


def packed(mask: np.ndarray) -> list[int]:
    """A mask (H, W) bool as Label Studio's bytes: all four channels 255 inside, 0 outside."""
    head = f"{mask.size * CHANNELS:032b}{WORD - 1:05b}" + "".join(f"{bits - 1:04b}" for bits in LENGTHS)
    counts = np.array(counts_of(mask)) * CHANNELS
    pieces = -(-counts // LONGEST)  # a longer run is written as several
    values = np.repeat(np.arange(len(counts)) % 2 * 255, pieces)
    lengths = np.full(pieces.sum(), LONGEST)
    lengths[np.cumsum(pieces)[pieces > 0] - 1] = ((counts - 1) % LONGEST + 1)[pieces > 0]
    kind = np.searchsorted(2**LENGTHS, lengths)
    bits = LENGTHS[kind]
    codes = (((1 << 2 | kind) << bits | lengths - 1) << WORD) | values  # "is a run", the kind of length, length, value
    sizes = 1 + 2 + bits + WORD
    widest = int(1 + 2 + LENGTHS.max() + WORD)
    places = np.arange(widest)[::-1]
    stream = ((codes[:, None] >> places) & 1)[places < sizes[:, None]]
    whole = np.concatenate([np.array(list(head), dtype=np.uint8), stream.astype(np.uint8)])
    return np.packbits(whole).tolist()


def unpacked(rle: Sequence[int], shape: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) bool of Label Studio's bytes: where alpha is 128 or more; UserError if they are not valid."""
    try:
        stream = _Bits(bytes(rle))
        size, word = stream.read(32), stream.read(5) + 1
        lengths = [stream.read(4) + 1 for _ in LENGTHS]
        if size != shape[0] * shape[1] * CHANNELS:
            raise UserError(f"a mask has {size // CHANNELS} pixels in place of {shape[1]} x {shape[0]}; draw it again")
        values: list[int] = []
        repeats: list[int] = []
        left = size
        while left > 0:
            is_run = stream.read(1)
            length = stream.read(lengths[stream.read(2)]) + 1
            values += [stream.read(word) for _ in range(1 if is_run else length)]
            repeats += [length] if is_run else [1] * length
            left -= length
    except (ValueError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError("a mask is not in Label Studio's run lengths; draw it again") from None
    pixels = np.repeat(np.array(values, dtype=np.int64), repeats)[:size]
    return np.asarray(pixels.reshape(*shape, CHANNELS)[..., 3] >= 128)


class _Bits:
    """A stream of bits, the highest of each byte first; ValueError at its end."""

    def __init__(self, data: bytes):
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._place = 0

    def read(self, count: int) -> int:
        end = self._place + count
        if end > len(self._bits):
            raise ValueError("the stream has ended")
        self._place, bits = end, self._bits[self._place : end]
        return int(bits, 2)
