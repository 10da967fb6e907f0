"""Worlds of simulated attention with exact masks, on which ways to choose a cut's numbers are compared.

Nobody could look at a real Stable Diffusion's maps where this was written. A world states what may differ from backbone
to backbone: the ground of A_c, the sharpness of A_s, the cells, what else A_c answers to, and the noise of its layers.
The masks are those of DUTS-TR's photographs; pocket's own attention on its renders is the world that is not simulated.
The worlds rank readings of a map; they do not predict an IoU on real Stable Diffusion.

Letters: h = w = side cells, N = side^2, K seed cells, L layers, H, W image pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks.masks.preset import capture
from models.cut.attentioncut import affinities_of
from models.cut.seeds import seed_columns
from models.errors import UserError

SIZE = 512
LAYERS, NOISY_LAYERS = 8, 2


@dataclass(frozen=True)
class World:
    """ground: A_c's level outside the object, of its top 1; sharpness: of A_s; clutter: A_c's answer to other things
    that stand out; noise: standard deviation of the noise of NOISY_LAYERS layers, of 8."""

    ground: float
    sharpness: float
    side: int = 32
    clutter: float = 0.0
    noise: float = 0.03

    @property
    def name(self) -> str:
        """As in 'ground 0.3, sharpness 8, 64x64'."""
        more = [f"clutter {self.clutter:g}"] * (self.clutter > 0) + [f"noisy layers {self.noise:g}"] * (
            self.noise > 0.1
        )
        return ", ".join(
            [f"ground {self.ground:g}", f"sharpness {self.sharpness:g}", f"{self.side}x{self.side}", *more]
        )


WORLDS = (
    *(World(ground, sharpness) for ground in (0.0, 0.05, 0.1, 0.2, 0.3, 0.5) for sharpness in (1.0, 3.0, 8.0)),
    *(World(ground, sharpness, side=64) for ground in (0.1, 0.3) for sharpness in (3.0, 8.0)),
    *(World(ground, 4.0, clutter=0.4) for ground in (0.1, 0.3)),
    *(World(ground, 4.0, noise=0.4) for ground in (0.1, 0.3)),
)
POCKET = "pocket's own attention on renders"


@dataclass(frozen=True)
class Seen:
    """An image with its mask and all of its attention that a build with keep_pooled stores.

    image: (H, W, 3) uint8; truth: (H, W) bool; layer_maps: (L, h, w) and columns: (N, K) float32, as in a dataset;
    affinities: (4, h, w) float32.
    """

    image: np.ndarray
    truth: np.ndarray
    layer_maps: np.ndarray
    columns: np.ndarray
    affinities: np.ndarray


@cache
def photographs(folder: Path, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`count` of DUTS-TR's photographs, evenly spread: image (512, 512, 3) uint8 and mask (512, 512) bool."""
    files = sorted((folder / "DUTS-TR" / "DUTS-TR-Image").glob("*.jpg"))
    if not files:
        raise UserError(f"{folder}: expected DUTS-TR/DUTS-TR-Image/*.jpg, found none; name the folder that holds it")
    return [_photograph(file) for file in files[:: max(1, len(files) // count)][:count]]


def _photograph(file: Path) -> tuple[np.ndarray, np.ndarray]:
    image = Image.open(file).convert("RGB").resize((SIZE, SIZE))
    mask = Image.open(file.parents[1] / "DUTS-TR-Mask" / f"{file.stem}.png").convert("L").resize((SIZE, SIZE))
    return np.asarray(image), np.asarray(mask) > 127


def simulated(world: World, folder: Path, count: int) -> Iterator[Seen]:
    """`count` photographs as the world's backbone would see them; the same each time."""
    for index, (image, truth) in enumerate(photographs(folder, count)):
        yield simulate(world, image, truth, index)


def simulate(world: World, image: np.ndarray, truth: np.ndarray, index: int) -> Seen:
    """One photograph as the world's backbone would see it."""
    share, colour = _cells(truth.astype(np.uint8) * 255, world.side), _cells(image, world.side)
    attention = _self_attention(world, share, colour, np.random.default_rng([index, 0]))
    maps = _class_maps(world, share, colour, np.random.default_rng([index, 1]))
    columns, side = seed_columns(attention, world.side, world.side), world.side
    return Seen(image, truth, maps, columns, affinities_of(attention, side, side))


def _cells(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture's mean in each cell, (side, side) or (side, side, 3) in [0, 1]."""
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX), dtype=np.float64) / 255


def _class_maps(world: World, share: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(L, h, w) float32 >= 0: brightest in the object's middle, over an uneven ground, with what else stands out."""
    side = world.side
    rows, columns = np.mgrid[:side, :side]
    weight = share / max(share.sum(), 1e-9)
    squared = (rows - (weight * rows).sum()) ** 2 + (columns - (weight * columns).sum()) ** 2
    near = np.exp(-squared / (2 * (side / 4) ** 2))
    thing = gaussian_filter(share * (0.4 + 0.6 * near), side * 1.5 / 64)
    strange = gaussian_filter(np.abs(colour - colour.mean((0, 1))).sum(-1), side / 32)
    maps = []
    for layer in range(LAYERS):
        waves = gaussian_filter(rng.standard_normal(share.shape), side / 12)
        ground = world.ground * (1 + 0.25 * waves / waves.std())
        value = (
            ground + (1 - world.ground) * thing / thing.max() + world.clutter * strange / strange.max() * (1 - share)
        )
        noise = world.noise if layer < NOISY_LAYERS else 0.03
        maps.append(gaussian_filter(value + noise * rng.standard_normal(share.shape), 0.5))
    return np.clip(maps, 0, None).astype(np.float32)


def _self_attention(world: World, share: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A_s (N, N) float32: cells attend to cells that are near in object, colour and place; rows sum to 1."""
    side = world.side
    place = np.moveaxis(np.mgrid[:side, :side], 0, -1) / side
    clean = np.concatenate([gaussian_filter(share, side / 32)[..., None], 1.5 * colour, place], -1).reshape(side**2, -1)
    features = (world.sharpness * (clean + rng.normal(0, 0.05, clean.shape))).astype(np.float32)
    scores = features @ features.T - (features**2).sum(1) / 2
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


@cache
def renders(count: int) -> list[Seen]:
    """pocket's inverted renders of seed 1 with its own attention."""
    return [
        Seen(scene.image, scene.mask, made.layer_maps.astype(np.float32), made.pooled.astype(np.float32),
             made.evidence.affinities)
        for scene, made in capture(count, "pocket")
        if made.layer_maps is not None and made.pooled is not None
    ]  # fmt: skip
