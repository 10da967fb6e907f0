"""DiffusionSeg's Tables 5, 6 and 7 on held-out pocket scenes with exact truth, all from attention captured once.

Every scene is inverted under its caption (Tables 5 and 6), under the caption of another class if CLIP names another,
and under the empty prompt (Table 7). IoU and Acc are means over scenes, the interval is of IoU. Values not named in a
row are those of pocket's preset, including k of A_c; every mask has AttentionCut's clean-up (components, holes).
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.intervals import Estimate, mean_interval, sign_of, words
from benchmarks.masks.captured import Captured, capture
from benchmarks.masks.pocket import HELD_OUT_SEED, batches
from models.clip.categories import categories_of
from models.config.build import BuildConfig
from models.config.cut import CutConfig
from models.config.photos import PriorConfig
from models.config.sampling import SamplingConfig
from models.cut import baselines as maskbaselines
from models.cut.attentioncut import Evidence, cut, evidence_of, scaled_affinities
from models.cut.graph import band_edges, repeat, shrink
from models.cut.masks import clean
from models.cut.seeds import mean_of_top
from models.metrics import acc, iou
from models.pocket.scenes import CLASSES, SIZE, Scene, render

COLUMNS = ["method", "IoU [95 % interval]", "Acc"]
PRESET = BuildConfig(classes=CLASSES, count=1)
OURS = "AttentionCut, pocket's preset"
COMPONENTS = {1: "A_c", 2: "r", 3: "A_c, r", 4: "A_c, r, D", 5: "A_c, r, A_s", 6: "A_c, r, A_s, D"}  # Table 6
PAPERS_ORDER = (1, 2, 3, 5, 4, 6)  # each row is better than the one before on at least two of the paper's three sets
FAR = 1e6  # a geodesic_scale at which one grey level is an infinite distance
CHANGES: dict[int, dict[str, Any]] = {
    1: {"alpha": 0.0, "lambda_": 0.0},
    2: {"alpha": 0.0, "lambda_": 0.0},  # and r instead of A_c
    3: {"lambda_": 0.0},
    4: {"affinity_scale": 0.0},
    5: {"affinity_scale": "range", "geodesic_scale": FAR},  # and UNLIKE instead of the picture
    6: {"affinity_scale": "range"},
}
# All neighbouring pixels and cells of it differ: at FAR, exp(-D) is 0 on every edge, and Psi is A_s alone.
UNLIKE = np.dstack([*np.mgrid[:SIZE, :SIZE], np.zeros((SIZE, SIZE))]).astype(np.uint8)

Mask = Callable[[Scene, Captured], np.ndarray]  # (H, W) bool
Scores = np.ndarray  # (scenes, 2): IoU and Acc
Table = dict[str, Any]


def run(count: int = 500) -> dict[str, Any]:
    """Tables 5, 6 and 7 on `count` scenes of seed 2, as `benchmarks.run` writes them, and their verdicts."""
    scenes = [render(HELD_OUT_SEED, i) for i in tqdm(range(count), desc="rendering", unit="img")]
    seen = under_captions(scenes)
    table_5, best = mask_methods(scenes, seen)
    table_6, in_order = components(scenes, seen)
    return {
        "count": count,
        "source": "held-out renders",
        "tables": [table_5, *table_6, priors(scenes, seen)],
        "verdicts": {"AttentionCut best of Table 5": best, "Table 6 in the paper's order": in_order},
    }


def mask_methods(scenes: list[Scene], seen: list[Captured]) -> tuple[Table, str]:
    """Table 5, and whether AttentionCut is the best of it."""
    paper = CutConfig(thresholds="paper"), SamplingConfig().top_k
    methods: dict[str, Mask] = {
        "k-means": lambda scene, captured: _cleaned(maskbaselines.kmeans(*_maps(captured), scene.mask.shape)),
        "DenseCRF": lambda scene, captured: _cleaned(maskbaselines.dense_crf(_maps(captured)[0], scene.image)),
        "NCut": lambda scene, captured: _cleaned(maskbaselines.ncut(*_maps(captured), scene.mask.shape)),
        "attention power": lambda scene, captured: _cleaned(
            maskbaselines.attention_power(*_maps(captured), scene.mask.shape)
        ),
        OURS: attentioncut,
        "AttentionCut, the paper's numbers": lambda scene, captured: attentioncut(scene, captured, *paper),
        "the truth in whole cells, repeated": lambda scene, _: _in_cells(scene.mask),
    }
    missing = set() if maskbaselines.has_dense_crf() else {"DenseCRF"}
    scores = {name: measure(scenes, seen, method, name) for name, method in methods.items() if name not in missing}
    rows = [row(name, scores[name]) if name in scores else [name, "not installed", ""] for name in methods]
    note = (
        "k-means labels whole cells, and the last row is what the truth itself is in whole cells. DenseCRF, NCut and "
        "attention power end in soft maps, enlarged before they are thresholded."
    )
    others = [name for name in list(methods)[:4] if name in scores]
    rival = max(others, key=lambda name: scores[name][:, 0].mean())
    ahead = mean_interval(scores[OURS][:, 0] - scores[rival][:, 0])
    verdict = f"{'yes' if ahead[0] > 0 else 'no'}, IoU less that of {rival} is {words(ahead)}"
    return table("Table 5: masks from the same attention", COLUMNS, rows, note), verdict


def components(scenes: list[Scene], seen: list[Captured]) -> tuple[list[Table], str]:
    """Table 6, the differences of its rows in the paper's order, and whether they are in that order."""
    scores = {n: measure(scenes, seen, component_row(n), f"row {n}") for n in COMPONENTS}
    rows = [row(f"{n}: {name}", scores[n]) for n, name in COMPONENTS.items()]
    rows.append(row(OURS, measure(scenes, seen, attentioncut, OURS)))
    note = "Rows 5 and 6 have affinity_scale range, " + shares(scenes, seen)
    steps = [(b, a, mean_interval(scores[b][:, 0] - scores[a][:, 0])) for a, b in pairwise(PAPERS_ORDER)]
    signs = {1: "in order", 0: "not told apart", -1: "reversed"}
    differences = [[f"{b} over {a}", step, signs[sign_of(step)]] for b, a, step in steps]
    tables = [
        table("Table 6: components of AttentionCut", COLUMNS, rows, note),
        table("Table 6, the paper's order: IoU of a row less that of the row before", ["rows", "IoU", ""], differences),
    ]
    return tables, order_verdict(steps)


def order_verdict(steps: list[tuple[int, int, Estimate]]) -> str:
    """'yes' if every step's interval is above 0, else the pairs that are reversed or not distinguishable."""
    faults = []
    for sign, word in ((-1, "reversed"), (0, "not told apart")):
        if pairs := [f"{b} over {a}" for b, a, step in steps if sign_of(step) == sign]:
            faults.append(f"{', '.join(pairs)} {word}")
    return f"no: {'; '.join(faults)}" if faults else "yes"


def component_row(number: int) -> Mask:
    """A row of Table 6 as a mask."""
    config = PRESET.cut.model_copy(update=CHANGES[number])

    def mask(scene: Scene, captured: Captured) -> np.ndarray:
        evidence = evidence_with(captured, config)
        if number == 2:
            evidence = replace(evidence, class_map=evidence.refined)
        return cut(UNLIKE if number == 5 else scene.image, evidence, config).mask

    return mask


def shares(scenes: list[Scene], seen: list[Captured]) -> str:
    """A_s's share of Psi in row 6, in words: mean over scenes, over the edges its masks cut and over all edges."""
    config, values = PRESET.cut.model_copy(update=CHANGES[6]), []
    for scene, captured in zip(scenes, tqdm(seen, desc="A_s's share", unit="img"), strict=True):
        evidence = evidence_with(captured, config)
        mask = cut(scene.image, evidence, config).mask
        nowhere = np.zeros_like(mask)
        values.append([share(scene.image, evidence, mask, free, config) for free in (nowhere, ~nowhere)])
    outline, everywhere = np.nanmean(values, axis=0)
    return (
        f"where A_s is {outline:.0%} of Psi summed over the neighbouring pixels that row 6's masks part, and "
        f"{everywhere:.0%} over all (means over scenes). Row 4 is the preset as long as its affinity_scale is 0."
    )


def share(image: np.ndarray, evidence: Evidence, mask: np.ndarray, free: np.ndarray, config: CutConfig) -> float:
    """Sum of A_s / sum of Psi over the edges that touch a free pixel or that the mask cuts; NaN if there are none."""
    affinities = scaled_affinities(evidence.affinities, config)
    psi = band_edges(image, affinities, mask, free, 1.0, config.geodesic_scale)[2].sum(dtype=np.float64)
    affinity = band_edges(UNLIKE, affinities, mask, free, 1.0, FAR)[2].sum(dtype=np.float64)
    return float(affinity / psi) if psi else float("nan")


def priors(scenes: list[Scene], seen: list[Captured]) -> Table:
    """Table 7: AttentionCut under the true class, under CLIP's, and without any."""
    by_clip, num_wrong = under_clips_class(scenes, seen)
    without = capture(scenes, [""] * len(scenes), [""] * len(scenes), PRESET.sampling, "captured without prior")
    cases = {
        "AttentionCut, the true class": seen,
        f"AttentionCut, CLIP's class (another in {num_wrong} scenes)": by_clip,
        "AttentionCut, without prior (empty prompt)": without,
    }
    rows = [row(name, measure(scenes, case, attentioncut, name)) for name, case in cases.items()]
    note = "DiffusionSeg's two rows come from trained runs: `maskmill bench segmenters`."
    return table("Table 7: the prior", COLUMNS, rows, note)


def under_clips_class(scenes: list[Scene], seen: list[Captured]) -> tuple[list[Captured], int]:
    """Every scene's attention under the class that CLIP names, and the number of scenes where CLIP is wrong.

    seen: the attention under the true class; scenes with a wrong class are captured again.
    """
    guessed = [name for part in batches(scenes, "CLIP's classes") for name in _named_by_clip(part)]
    wrong = [i for i, scene in enumerate(scenes) if guessed[i] != scene.category]
    prompts = [scenes[i].caption.replace(f" {scenes[i].category} on ", f" {guessed[i]} on ", 1) for i in wrong]
    again = capture([scenes[i] for i in wrong], prompts, [guessed[i] for i in wrong], PRESET.sampling, "CLIP's class")
    by_scene = dict(enumerate(seen)) | dict(zip(wrong, again, strict=True))
    return [by_scene[i] for i in range(len(scenes))], len(wrong)


def under_captions(scenes: list[Scene]) -> list[Captured]:
    """Every scene's attention under its own caption."""
    named = [scene.category for scene in scenes]
    return capture(scenes, [scene.caption for scene in scenes], named, PRESET.sampling, "captured with captions")


def attentioncut(
    scene: Scene, captured: Captured, config: CutConfig = PRESET.cut, top_k: int = PRESET.sampling.top_k
) -> np.ndarray:
    """The mask (H, W) bool of a scene, from its captured attention."""
    return cut(scene.image, evidence_with(captured, config, top_k), config).mask


def evidence_with(captured: Captured, config: CutConfig, top_k: int = PRESET.sampling.top_k) -> Evidence:
    """The evidence for a cut under `config`."""
    return evidence_of(mean_of_top(captured.layer_maps, top_k), captured.attention, config)


def measure(scenes: list[Scene], seen: list[Captured], mask: Mask, name: str) -> Scores:
    """IoU and Acc of every scene's mask."""
    pairs = zip(scenes, tqdm(seen, desc=name, unit="img"), strict=True)
    masks = ((mask(scene, captured), scene.mask) for scene, captured in pairs)
    return np.array([(iou(predicted, truth), acc(predicted, truth)) for predicted, truth in masks])


def row(name: str, scores: Scores) -> list[Any]:
    """A method's row: its IoU with the interval, and its Acc."""
    return [name, mean_interval(scores[:, 0]), round(float(scores[:, 1].mean()), 4)]


def table(title: str, columns: list[str], rows: list[list[Any]], note: str = "") -> Table:
    """A table in the form that `benchmarks.page` renders."""
    return {"title": title, "columns": columns, "rows": rows, "note": note}


def _maps(captured: Captured) -> tuple[np.ndarray, np.ndarray]:
    """A_c (h, w) of the preset's k, and A_s (N, N)."""
    return mean_of_top(captured.layer_maps, PRESET.sampling.top_k), captured.attention


def _cleaned(mask: np.ndarray) -> np.ndarray:
    return clean(mask, PRESET.cut.min_component, PRESET.cut.max_hole)


def _in_cells(truth: np.ndarray) -> np.ndarray:
    """A mask (H, W) bool quantised to attention cells: a cell is foreground if more than half of it is covered."""
    covered = shrink(np.repeat(truth[..., None], 3, axis=2).astype(np.uint8) * 255, (16, 16))[..., 0]
    return repeat(covered > 0.5, truth.shape)


def _named_by_clip(scenes: list[Scene]) -> list[str]:
    images = np.stack([scene.image for scene in scenes])
    return [name for name, _ in categories_of(images, "pocket", PriorConfig(clip="pocket"))]
