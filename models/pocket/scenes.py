"""pocket's training scenes: one captioned object on a textured background, with its exact mask.

Deterministic: scene `index` of a `seed` is always the same image. Knows nothing of networks or of training.
Letters: S image side in pixels; (u, v) coordinates in the object's frame, where the object spans about [-1, 1].
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from models.classes import pocket as words
from models.classes.pocket import BACKGROUNDS, CLASSES, STYLES, caption

SIZE = 128
THIN_CLASSES = ("ring", "cross", "leaf", "moon")

RGB = (
    (0.84, 0.16, 0.14), (0.95, 0.52, 0.12), (0.94, 0.84, 0.18), (0.20, 0.64, 0.24),
    (0.16, 0.34, 0.84), (0.56, 0.22, 0.72), (0.95, 0.52, 0.70), (0.95, 0.95, 0.95),
)  # fmt: skip
COLOURS = dict(zip(words.COLOURS, RGB, strict=True))
LIGHTS = dict(zip(words.LIGHTS, (1.0, 0.85, 0.65), strict=True))
VIEWS = dict(zip(words.VIEWS, ((39.0, 47.0), (31.0, 38.0)), strict=True))  # object radius, pixels

# Share of scenes by difficulty; the captioned object is always larger and closer to the centre than a distractor.
SHARES = {"easy": 0.55, "clutter": 0.15, "distractor": 0.20, "low contrast": 0.10}


@dataclass(frozen=True)
class Scene:
    """One rendered scene.

    image: (128, 128, 3) uint8; mask: (128, 128) bool, exact for the captioned object; radius in pixels;
    centre (x, y) in pixels; distractor: class of the second object or "".
    """

    image: np.ndarray
    mask: np.ndarray
    category: str
    caption: str
    difficulty: str
    radius: float
    centre: tuple[float, float]
    distractor: str


def render(seed: int, index: int, category: str | None = None) -> Scene:
    """Scene `index` of dataset `seed`; `category` overrides the drawn class and changes nothing else."""
    rng = np.random.default_rng([seed, index])
    # 1. The caption's words
    drawn = str(rng.choice(CLASSES))
    category = category or drawn
    colour, background = str(rng.choice(list(COLOURS))), str(rng.choice(BACKGROUNDS))
    light, view, style = str(rng.choice(list(LIGHTS))), str(rng.choice(list(VIEWS))), str(rng.choice(STYLES))
    difficulty = str(rng.choice(list(SHARES), p=list(SHARES.values())))

    # 2. Background: base tone far from (or, for low contrast, close to) the object's colour
    ink = np.clip(np.array(COLOURS[colour]) + rng.normal(0, 0.03, 3), 0, 1)
    base = _background_tone(rng, ink, low_contrast=difficulty == "low contrast")
    canvas = np.clip(base + _texture(rng, background)[..., None] * rng.uniform(0.5, 1.0, 3), 0, 1)  # (S, S, 3)

    # 3. Clutter and distractor lie under the captioned object
    radius = rng.uniform(*VIEWS[view])
    centre = SIZE / 2 + rng.uniform(-12, 12, 2)
    if difficulty == "clutter":
        canvas = _add_clutter(rng, canvas)
    distractor = ""
    if difficulty == "distractor":
        distractor = str(rng.choice([c for c in CLASSES if c != category]))
        other_ink = np.array(COLOURS[str(rng.choice(list(COLOURS)))])
        canvas, _ = _add_object(
            rng, canvas, distractor, other_ink, radius * rng.uniform(0.3, 0.45), _far_spot(rng, centre), "matte"
        )

    # 4. The object, then the light on everything
    canvas, mask = _add_object(rng, canvas, category, ink, radius, centre, style)
    image = np.rint(np.clip(canvas * LIGHTS[light], 0, 1) * 255).astype(np.uint8)
    text = caption(colour, category, background, light, view, style)
    return Scene(
        image, mask, category, text, difficulty, float(radius), (float(centre[0]), float(centre[1])), distractor
    )


def _background_tone(rng: np.random.Generator, ink: np.ndarray, low_contrast: bool) -> np.ndarray:
    """A muted RGB tone at distance 0.18-0.30 (low contrast) or above 0.45 from the object's colour."""
    while True:
        grey = rng.uniform(0.2, 0.8)
        tone = np.clip(grey + rng.uniform(-0.22, 0.22, 3), 0.05, 0.95)
        distance = float(np.linalg.norm(tone - ink))
        if low_contrast:
            tone = ink + (tone - ink) / distance * rng.uniform(0.18, 0.30)
            if tone.min() >= 0 and tone.max() <= 1:
                return tone
        elif distance > 0.45:
            return tone


def _texture(rng: np.random.Generator, name: str) -> np.ndarray:
    """The texture of a background: (S, S) offsets within about +-0.12, smooth at the scale of a few pixels."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    angle, cycles, phase = rng.uniform(0, np.pi), rng.uniform(3, 5.5), rng.uniform(0, 2 * np.pi, 2)
    amplitude = rng.uniform(0.06, 0.12)
    a = 2 * np.pi * cycles * (x * np.cos(angle) + y * np.sin(angle)) + phase[0]
    b = 2 * np.pi * cycles * (y * np.cos(angle) - x * np.sin(angle)) + phase[1]
    if name == "plain":
        return amplitude * 0.6 * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)) * 2
    if name == "striped":
        return amplitude * np.tanh(2 * np.sin(a))
    if name == "checked":
        return amplitude * np.tanh(3 * np.sin(a) * np.sin(b))
    if name == "dotted":
        return amplitude * (2 / (1 + np.exp(-6 * (np.cos(a) + np.cos(b) - 0.9))) - 0.6)
    if name == "wavy":
        return amplitude * np.sin(a + 1.6 * np.sin(b / 2))
    if name == "woven":
        return amplitude * 0.7 * (np.abs(np.sin(a / 1.5)) + np.abs(np.sin(b / 1.5)) - 1.2)
    assert name == "cloudy", name
    noise = gaussian_filter(rng.normal(size=(SIZE, SIZE)), 9, mode="wrap")
    return amplitude * np.clip(noise / (noise.std() + 1e-9), -2, 2) * 0.7


def _far_spot(rng: np.random.Generator, centre: np.ndarray) -> np.ndarray:
    """A distractor's centre near a border, on the side away from the captioned object."""
    away = np.where(centre < SIZE / 2, 1, -1)
    spot = SIZE / 2 + away * rng.uniform(42, 50, 2)
    spot[rng.integers(2)] = SIZE / 2 + rng.uniform(-48, 48)
    return spot


def _add_clutter(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Draw three to six small ellipses that belong to no class."""
    for _ in range(rng.integers(3, 7)):
        u, v = _object_frame(
            rng.uniform(6, SIZE - 6, 2), rng.uniform(3, 8), rng.uniform(0, np.pi), rng.uniform(0.4, 1.0)
        )
        alpha = _coverage(np.hypot(u, v) - 1)[..., None]
        canvas = canvas * (1 - alpha) + alpha * rng.uniform(0.1, 0.9, 3)
    return canvas


def _object_frame(centre: np.ndarray, radius: float, angle: float, aspect: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres in the frame of an object at `centre` (x, y): two (S, S) arrays, v pointing down."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    x, y = (x - centre[0]) / radius, (y - centre[1]) / radius
    return (x * np.cos(angle) + y * np.sin(angle)) / aspect, y * np.cos(angle) - x * np.sin(angle)


def _coverage(f: np.ndarray) -> np.ndarray:
    """Anti-aliased coverage in [0, 1] of {f < 0}: f divided by its gradient is the pixel distance to the outline."""
    gy, gx = np.gradient(f)
    return np.clip(0.5 - f / (np.hypot(gx, gy) + 1e-6), 0, 1)


def _add_object(
    rng: np.random.Generator,
    canvas: np.ndarray,
    category: str,
    ink: np.ndarray,
    radius: float,
    centre: np.ndarray,
    style: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one object with shadow and shading; returns the canvas and the (S, S) bool mask."""
    u, v = _object_frame(centre, radius, rng.uniform(-np.pi / 4, np.pi / 4), rng.uniform(0.88, 1.12))
    f = OUTLINES[category](u, v)
    alpha = _coverage(f)
    # Shadow: the blurred silhouette, shifted to the lower right; it darkens the background, outside the mask.
    shift = round(radius * 0.12)
    shadow = gaussian_filter(np.roll(alpha, (shift, shift), axis=(0, 1)), 2.5)[..., None]
    canvas = canvas * (1 - 0.35 * shadow)
    tone = ink[None, None, :] * _shading(category, u, v)[..., None]
    if style == "glossy":
        tone = tone + 0.45 * np.exp(-((u + 0.3) ** 2 + (v + 0.35) ** 2) / 0.03)[..., None]
    return canvas * (1 - alpha[..., None]) + np.clip(tone, 0, 1) * alpha[..., None], f < 0


def _shading(category: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Brightness factor of a light from the upper left; some classes have their own relief."""
    if category == "ball":
        return 1.08 - 0.38 * np.clip(np.hypot(u + 0.35, v + 0.35), 0, 1.6)
    if category == "box":  # three faces of a cube seen from a corner
        return np.where(v < -np.abs(u) * 0.577, 1.05, np.where(u < 0, 0.85, 0.62))
    if category == "cone":
        return 0.95 - 0.30 * np.clip(u, -1, 1)
    if category == "ring":
        return 0.92 + 0.20 * np.cos((np.hypot(u, v) - 0.72) * 9)
    if category == "leaf":  # a dark mid-rib
        return 0.95 - 0.25 * np.exp(-((u / 0.06) ** 2))
    if category == "flower":  # a dark eye
        return np.where(np.hypot(u, v) < 0.3, 0.55, 1.0)
    if category == "mushroom":  # cap darker than stem
        return np.where(v < 0.05, 0.80, 1.10)
    return 0.95 - 0.12 * (u + v)


# Outlines: implicit functions in the object's frame, negative inside. Only the sign and the zero set matter.


def _ball(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.hypot(u, v) - 0.88


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.abs(np.hypot(u, v) - 0.75) - 0.25


def _box(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u) - 0.82, np.abs(u) * 0.5 + np.abs(v) * 0.866 - 0.82)


def _cone(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    sides = np.maximum(np.abs(u) * 0.924 + (v + 0.95) * -0.383, v - 0.7)
    base = np.hypot(u / 0.69, (v - 0.7) / 0.22) - 1
    return np.minimum(sides, base)


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    bar = np.maximum(np.abs(u) - 0.92, np.abs(v) - 0.3)
    post = np.maximum(np.abs(u) - 0.3, np.abs(v) - 0.92)
    return np.minimum(bar, post)


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five points: fold the angle into one wedge, then one straight edge from tip (radius 1) to notch (0.48)."""
    angle = np.abs((np.arctan2(u, -v) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    x, y = np.hypot(u, v) * np.cos(angle), np.hypot(u, v) * np.sin(angle)
    nx, ny = 0.48 * np.cos(np.pi / 5), 0.48 * np.sin(np.pi / 5)
    return (x - 1) * ny + y * (1 - nx)


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    x, y = u * 1.2, -v * 1.2 + 0.1
    return np.cbrt((x**2 + y**2 - 1) ** 3 - x**2 * y**3)


def _moon(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.hypot(u, v) - 0.95, 0.72 - np.hypot(u - 0.52, v))


def _leaf(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.hypot(u - 0.62, v) - 1.14, np.hypot(u + 0.62, v) - 1.14)


def _flower(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.hypot(u, v) - (0.74 + 0.22 * np.cos(6 * np.arctan2(v, u)))


def _mushroom(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    cap = np.maximum(np.hypot(u / 0.95, (v - 0.05) / 0.9) - 1, v - 0.05)
    stem = np.maximum(np.abs(u) - 0.28, np.abs(v - 0.4) - 0.5)
    return np.minimum(cap, stem)


def _arrow(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    head = np.maximum(np.abs(u) * 0.707 + (v + 0.92) * -0.707, v + 0.1)
    shaft = np.maximum(np.abs(u) - 0.27, np.abs(v - 0.35) - 0.57)
    return np.minimum(head, shaft)


OUTLINES = {
    "ball": _ball, "star": _star, "ring": _ring, "box": _box, "cone": _cone, "cross": _cross, "heart": _heart,
    "moon": _moon, "leaf": _leaf, "flower": _flower, "mushroom": _mushroom, "arrow": _arrow,
}  # fmt: skip
