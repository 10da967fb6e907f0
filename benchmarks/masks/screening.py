"""Quality of kept against rejected samples: each screening rule alone, and pocket's preset as a whole.

Uses pocket's pairs of `maskmill bench segmenters`, built if they do not exist. The truth is the oracle's estimate, with
its error stated; the judges measure and never screen. Values were chosen on the samples of even index and are reported
on those of odd index; each half is screened as a separate dataset.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.intervals import difference_interval, mean_interval, sign_of, words
from benchmarks.training.segmenters import kept_pairs
from models.backbone.files import POCKET_FOLDER
from models.clip.categories import categories
from models.clip.model import load_clip
from models.clip.zero_shot import caption_texts, zero_shot
from models.config.build import BuildConfig
from models.config.screening import ScreenConfig
from models.cut.masks import border_of, num_components_of
from models.metrics import iou
from models.pocket import judges
from models.pocket.scenes import CLASSES
from models.screening.dataset import most_uncertain, verdicts
from models.screening.rules import reasons
from models.screening.sample import entropy_of
from storage.dataset.reader import Dataset, open_dataset
from storage.dataset.shards import array_of

BATCH = 25
PRESET = BuildConfig(classes=CLASSES, count=1).screen
OFF = {"min_area": 0.0, "max_area": 1.0, "max_uncertainty": 1.0, "clip": "none"}
CLIP = {"clip": "pocket"}
RULES: dict[str, dict[str, Any]] = {
    "min_area 0.06": {"min_area": 0.06},
    "max_area 0.5": {"max_area": 0.5},
    "max_border 0": {"max_border": 0.0},
    "max_components 1": {"max_components": 1},
    "max_uncertainty 0.5": {"max_uncertainty": 0.5},
    "CLIP filter, above 1/12": CLIP,
    "min_clip 0.5": CLIP | {"min_clip": 0.5},
    "duplicate_image 0.995": CLIP | {"min_clip": 0.0, "duplicate_image": 0.995},
    "duplicate_prompt 1": {"duplicate_prompt": 1.0},
    "drop_uncertain 0.1": {"drop_uncertain": 0.1},
}
AREAS, SHARE = (0.02, 0.04, 0.06, 0.08, 0.1), 0.1
COLUMNS = ["rejected", "IoU kept", "IoU rejected", "kept less rejected", "class kept", "class rejected"]
NOTHING = "none"


def run(folder: Path, count: int = 2000) -> dict[str, Any]:
    """Measure on the dataset in `folder`; if there is none, it is built with `count` kept pairs."""
    dataset = open_dataset(folder if folder.exists() else kept_pairs(folder, count))
    table = scored(dataset)
    judged = judgements(dataset)
    chosen, reported = ({k: v[start::2] for k, v in (table | judged).items()} for start in (0, 1))
    error = json.loads((POCKET_FOLDER / "figures.json").read_text())["figures"]
    rule_note = (
        "Each rule is alone beside the test for empty masks, which is always on and is left out of the other rows but "
        "the last. Class: share in which the classifier names the class asked for. The oracle's own IoU with exact "
        f"masks of held-out renders is {error['oracle IoU']:.3f}, the classifier's accuracy there "
        f"{error['classifier accuracy']:.3f} (`maskmill bench pocket`); on sampled images neither is known."
    )
    choice_note = (
        "Smallest area: of all that are not empty. Dropped tenth: of those that pass the preset's other tests. Margin "
        "is the score that max_uncertainty bounds, entropy the mean over the top 10 % cells that drop_uncertain ranks."
    )
    return {
        "count": len(dataset),
        "source": f"samples of pocket, {len(reported['iou'])} of odd index reported on",
        "tables": [
            {"title": "Rules, on samples of odd index", "columns": ["rule", *COLUMNS], "rows": by_rule(reported),
             "note": rule_note},
            {"title": "Choice of values, on samples of even index", "columns": ["choice", *COLUMNS],
             "rows": by_choice(chosen), "note": choice_note},
        ],
        "verdicts": verdict(reported),
    }  # fmt: skip


def scored(dataset: Dataset) -> dict[str, np.ndarray]:
    """The columns that screening rules read, (N,) each, and the samples' embeddings."""
    frame, clip = dataset.frame(), load_clip("pocket", "cpu")
    names = categories("pocket", "pocket", CLASSES)
    images, masks, objectness = (dataset.group[name] for name in ("image", "mask", "objectness"))
    rows = []
    for i in tqdm(range(len(dataset)), desc="scores", unit="img"):
        embedding = clip.encode_images(np.asarray(images[i])[None])
        score = zero_shot(clip, embedding, caption_texts(clip, names))[0, names.index(frame["category"][i].lower())]
        mask = np.asarray(masks[i])
        entropy, vector = entropy_of(np.asarray(objectness[i])), embedding.numpy()[0].astype(np.float16)
        rows.append((border_of(mask), num_components_of(mask), entropy, score, vector))
    columns = ("border", "num_components", "entropy", "clip_score", "embedding")
    table = {name: np.array(values) for name, values in zip(columns, zip(*rows, strict=True), strict=True)}
    return table | {name: frame[name].to_numpy() for name in ("area", "uncertainty", "category", "prompt")}


def judgements(dataset: Dataset) -> dict[str, np.ndarray]:
    """IoU of each mask with the oracle's, and whether the classifier names the sample's class; (N,) each."""
    categories = [name.lower() for name in dataset.frame()["category"]]
    images, masks = (array_of(dataset.group, name) for name in ("image", "mask"))
    ious: list[float] = []
    right: list[bool] = []
    for start in tqdm(range(0, len(dataset), BATCH), desc="judges", unit="batch"):
        part = slice(start, start + BATCH)
        batch = np.asarray(images[part])
        estimates = judges.segment(batch, categories[part])
        ious += [iou(mask, other) for mask, other in zip(np.asarray(masks[part]), estimates, strict=True)]
        right += [a == b for a, b in zip(judges.classify(batch), categories[part], strict=True)]
    return {"iou": np.array(ious), "right": np.array(right)}


def by_rule(table: dict[str, np.ndarray]) -> list[list[Any]]:
    """A row for empty masks, for each rule alone, and for the preset."""
    empty = reasons(table, ScreenConfig(**OFF), len(CLASSES)) == "empty"
    solid = {name: values[~empty] for name, values in table.items()}
    rows = [row("empty masks", empty, table)]
    rows += [row(name, rejected(solid, ScreenConfig(**OFF | values)), solid) for name, values in RULES.items()]
    return [*rows, row("**pocket's preset**", rejected(table, PRESET), table)]


def by_choice(table: dict[str, np.ndarray]) -> list[list[Any]]:
    """Rows for minimum areas, and for the scores by which a tenth may be dropped."""
    solid = {name: values[table["area"] > 0] for name, values in table.items()}
    rows = [row(f"min_area {area}", rejected(solid, ScreenConfig(**OFF | {"min_area": area})), solid) for area in AREAS]
    passing = ~rejected(table, PRESET.model_copy(update={"drop_uncertain": 0.0}))
    left = {name: values[passing] for name, values in table.items()}
    for name, score in (("entropy", left["entropy"]), ("margin", left["uncertainty"]), ("CLIP", -left["clip_score"])):
        dropped = most_uncertain(np.ones(len(score), dtype=bool), score, SHARE)
        rows.append(row(f"a tenth dropped by {name}", dropped, left))
    return rows


def rejected(table: dict[str, np.ndarray], config: ScreenConfig) -> np.ndarray:
    """Whether each sample is rejected, (n,) bool."""
    return np.asarray(verdicts(table, config, len(CLASSES))[0] != "")


def row(name: str, out: np.ndarray, table: dict[str, np.ndarray]) -> list[Any]:
    """The number of rejected samples, and the quality of the kept and of the rejected ones."""
    ious, right = table["iou"], table["right"]
    if not out.any():
        return [name, "0", mean_interval(ious), NOTHING, NOTHING, float(right.mean()), NOTHING]
    difference = difference_interval(ious[~out], ious[out])
    means = [mean_interval(ious[~out]), mean_interval(ious[out]), difference]
    return [name, f"{out.sum()} of {len(out)}", *means, float(right[~out].mean()), float(right[out].mean())]


def verdict(table: dict[str, np.ndarray]) -> dict[str, str]:
    """Whether the samples that the preset keeps are better than those it rejects."""
    out = rejected(table, PRESET)
    ahead = difference_interval(table["iou"][~out], table["iou"][out])
    return {"the preset keeps the better": f"{'yes' if sign_of(ahead) > 0 else '**no**'}, by {words(ahead)}"}
