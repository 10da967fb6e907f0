"""The plan of an export: which samples of which version go to which split, in blocks that can be resumed.

Knows nothing of formats.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.config.export import ExportConfig
from models.errors import UserError
from storage.dataset.reader import Dataset
from storage.dataset.repository import open_repository
from storage.dataset.shards import is_mended
from storage.exports.splits import split


@dataclass(frozen=True)
class Block:
    """Consecutive samples of a split: block `number`, from 0, of the split's `total` blocks."""

    split: str
    number: int
    total: int
    indices: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}-of-{self.total:05d}"


@dataclass(frozen=True)
class Plan:
    """splits: indices of the samples by split, ascending; classes: names in the order of their labels, from 0."""

    name: str  # of the dataset
    version: str
    snapshot: str  # the version's id in the repository
    published: str  # date, as 2026-01-31
    mended: int  # number of exported masks that a person mended
    maskmill_version: str  # that created the dataset
    exported_by: str  # version of maskmill
    config: dict[str, Any]  # of the dataset's build
    image_size: tuple[int, int]  # (H, W)
    classes: tuple[str, ...]
    format: str
    seed: int  # of the splits
    split: str  # as given by the user
    splits: dict[str, tuple[int, ...]]
    masks: str = "polygons"  # how COCO holds them
    license: str | None = None

    def __len__(self) -> int:
        return sum(map(len, self.splits.values()))

    def label(self, category: str) -> int:
        """A class's label, from 0."""
        return self.classes.index(category)

    def blocks(self, size: int) -> Iterator[Block]:
        """All samples in blocks of `size`, split by split; a split's last block may be short."""
        for name, indices in self.splits.items():
            starts = range(0, len(indices), size)
            for number, start in enumerate(starts):
                yield Block(name, number, len(starts), indices[start : start + size])

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Plan":
        splits = {name: tuple(indices) for name, indices in values["splits"].items()}
        height, width = values["image_size"]
        return cls(**values | {"classes": tuple(values["classes"]), "image_size": (height, width), "splits": splits})


def plan_export(dataset: Dataset, config: ExportConfig, exported_by: str) -> Plan:
    """The plan that splits a version's kept samples as configured; UserError if there are too few of them."""
    kept = dataset.frame().loc[dataset.kept()]
    if kept.empty:
        raise UserError(
            f"{dataset.path}: version {dataset.version} has no kept sample; build more, or "
            "screen less strictly with maskmill recut"
        )
    categories = [str(name) for name in kept["category"]]
    indices = [int(index) for index in kept.index]
    snapshot = snapshot_of(dataset)
    splits = split(indices, categories, config.shares(), config.seed)
    return Plan(
        name=Path(dataset.path).resolve().name,
        version=dataset.version,
        snapshot=snapshot,
        published=open_repository(dataset.path).lookup_snapshot(snapshot).written_at.date().isoformat(),
        mended=int(is_mended(dataset.group)[indices].sum()),
        maskmill_version=dataset.maskmill_version,
        exported_by=exported_by,
        config=dataset.config | ({"revision": commit} if (commit := dataset.backbone_commit) else {}),
        image_size=dataset.image_size,
        classes=_classes(dataset.config.get("classes"), categories),
        format=config.format,
        seed=config.seed,
        split=config.split,
        splits={name: tuple(chosen) for name, chosen in splits.items()},
        masks=config.masks,
        license=config.license,
    )


def snapshot_of(dataset: Dataset) -> str:
    """The id of a version's snapshot, which differs between datasets."""
    store: Any = dataset.group.store
    return str(store.session.snapshot_id)


def _classes(configured: Any, present: list[str]) -> tuple[str, ...]:
    """The configured names in order, so that labels stay the same when a dataset grows; then any others."""
    names = configured if isinstance(configured, list) else []
    return tuple(dict.fromkeys([*names, *sorted(set(present))]))
