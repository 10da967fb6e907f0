"""How a dataset is exported: the format, the version and the splits. Imports no torch.

Like models/config/build.py, it gives the form in Prefect and the options of the CLI.
"""

import re
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from models.config.base import Config
from models.errors import UserError

# Name -> the class that writes it; storage/exports/__init__.py imports the class when it is used.
FORMATS = {
    "coco": "storage.exports.formats.coco:CocoFormat",
    "yolo": "storage.exports.formats.yolo:YoloFormat",
    "voc": "storage.exports.formats.voc:VocFormat",
    "folders": "storage.exports.formats.folders:FolderFormat",
    "semantic": "storage.exports.formats.semantic:SemanticFormat",
    "webdataset": "storage.exports.formats.webdataset:WebDatasetFormat",
    "cvat": "storage.exports.formats.cvat:CvatFormat",
    "labelstudio": "storage.exports.formats.labelstudio:LabelStudioFormat",
    "hf": "storage.exports.formats.hf:HuggingFaceFormat",
    "zarr": "storage.exports.formats.zarr_v3:ZarrFormat",
}
SPLITS = ("train", "val", "test")  # the names of splits that are given without a name


def format_names(quote: str = "") -> str:
    """The names of the formats as text, as in 'coco, voc or zarr'."""
    *names, last = (f"{quote}{name}{quote}" for name in FORMATS)
    return f"{', '.join(names)} or {last}"


def shares_of(text: str) -> dict[str, Fraction]:
    """Parse '0.7,0.2,0.1' or 'train=0.7,val=0.3' into exact shares by name, which sum to 1; UserError if not valid."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > len(SPLITS):
        raise UserError(f"split: expected one to three shares, got {len(parts)}; give fewer")
    named = [part for part in parts if "=" in part]
    if named and len(named) < len(parts):
        raise UserError(
            f"split: expected a name for every share or for none, got {text!r}; write train=0.9,val=0.1, for example"
        )
    pairs = [part.split("=", 1) if named else (SPLITS[i], part) for i, part in enumerate(parts)]
    shares = {_name(name.strip()): _share(value.strip()) for name, value in pairs}
    if len({name.lower() for name in shares}) < len(parts):
        raise UserError(f"split: expected names that differ in more than their case, got {text!r}; rename one")
    if sum(shares.values()) != 1:
        total = float(sum(shares.values()))
        raise UserError(f"split: expected shares that sum to 1, got {text!r}, which sums to {total:.9g}; change one")
    return shares


def _name(name: str) -> str:
    """Check that a name is valid for a folder, a file and a Hugging Face split, where 'all' is reserved."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,31}", name) or name.lower() == "all":
        raise UserError(
            "split: expected a name of at most 32 letters, digits and _ that starts with a letter and is not 'all', "
            f"got {name!r}; rename it"
        )
    return name


def _share(text: str) -> Fraction:
    # The format is checked first: Fraction would expand 1e999999999 in full.
    share = Fraction(text) if re.fullmatch(r"[0-9]?\.?[0-9]{1,18}", text) else Fraction(0)
    if not 0 < share <= 1:
        raise UserError(f"split: expected shares above 0 and at most 1, as in 0.7, got {text!r}; change it")
    return share


def _checked(text: str) -> str:
    shares_of(text)
    return "".join(text.split())


def _known(name: str) -> str:
    if name not in FORMATS:
        raise UserError(f"format: expected {format_names(quote=chr(39))}, got {name!r}; change it")
    return name


def _line(text: str) -> str:
    line = " ".join(text.split())
    if not line or not line.isprintable():
        raise UserError(f"license: expected a name, a link or a line of text, got {text!r}; change it, or leave it out")
    return line


class ExportConfig(Config):
    """What is exported, and in which format."""

    format: Annotated[str, AfterValidator(_known)] = Field(
        description="format on disk; docs/exports.md describes the layout of each and what it loses",
        json_schema_extra={"enum": list(FORMATS)},
    )
    version: str | None = Field(None, description="published version to export; the latest when absent")
    split: Annotated[str, AfterValidator(_checked)] = Field(
        "train=1",
        max_length=200,
        description="shares of the splits, as '0.7,0.2,0.1' for train, val, test, or 'train=0.9,val=0.1'",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the splits")
    masks: Literal["polygons", "rle"] = Field(
        "polygons",
        description="of format coco: masks as polygons, or as run lengths, which keep parts and holes in every reader",
    )
    license: Annotated[str, AfterValidator(_line)] | None = Field(
        None,
        max_length=500,
        description="licence of images and masks: its SPDX name, as CC-BY-4.0, or a link; none is named when absent",
    )

    @model_validator(mode="after")
    def _masks_fit(self) -> "ExportConfig":
        if self.masks == "rle" and self.format != "coco":
            raise UserError(f"masks: rle is for format coco alone, got format {self.format}; leave masks out")
        return self

    def shares(self) -> dict[str, Fraction]:
        """The splits' shares by name; they sum to 1 exactly."""
        return shares_of(self.split)
