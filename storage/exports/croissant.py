"""Croissant metadata (mlcommons.org/croissant/1.0): an export's files, its images and masks, the table's columns."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from models import digests
from storage.exports.card import CONFIG
from storage.exports.formats.base import Files, Format
from storage.exports.plan import Plan
from storage.exports.tables import CSV, PARQUET

NAME = "croissant.json"
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
IMAGE = "sc:ImageObject"
KINDS = {"i": "sc:Integer", "u": "sc:Integer", "f": "sc:Float", "b": "sc:Boolean"}  # by numpy's kind; others are text


def write_croissant(folder: Path, plan: Plan, form: Format, table: pd.DataFrame) -> None:
    """Write croissant.json; table: the rows of the tables."""
    kinds = {PARQUET: "application/x-parquet", CSV: "text/csv", CONFIG: "application/yaml"}
    objects = [_file(folder, name, media_type) for name, media_type in kinds.items()]
    sets = [
        {"@type": "cr:FileSet", "@id": files.name, "encodingFormat": files.media_type, "includes": files.pattern}
        for files in form.files
    ]
    document = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": re.sub(r"\W+", "_", plan.name, flags=re.ASCII).strip("_") or "dataset",
        "description": f"{len(plan)} images with the mask of one object each, made by maskmill "
        f"{plan.maskmill_version} from {CONFIG}: maskmill build --config {CONFIG}",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": f"{plan.version.removeprefix('v')}.0.0",
        "datePublished": plan.published,
        **({"license": plan.license} if plan.license else {}),
        "isBasedOn": str(plan.config.get("backbone", "unknown")),
        "distribution": objects + sets,
        "recordSet": [_records("samples", _columns(table)), *_pictures(form)],
    }
    (folder / NAME).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _file(folder: Path, name: str, media_type: str) -> dict[str, Any]:
    file_object = {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name}
    return file_object | {"encodingFormat": media_type, "sha256": digests.of_file(folder / name)}


def _columns(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The fields of the table, read from Parquet: readers of CSV take a class called null for a missing value."""
    return [
        _field(
            f"samples/{name}",
            KINDS.get(kind.kind, "sc:Text"),
            {"fileObject": {"@id": PARQUET}, "extract": {"column": name}},
        )
        for name, kind in table.dtypes.items()
    ]


def _pictures(form: Format) -> list[dict[str, Any]]:
    """A record set `image`, a record set `mask`, and where a format has files of both, their `pairs`.

    `name` is the sample's index in six digits. The table is not joined to them: mlcroissant joins two sources at most.
    """
    shown = {files.shows: files for files in form.files if files.shows}
    sets = [_records(kind, [_name(kind, files), _picture(kind, files)]) for kind, files in shown.items()]
    if len(shown) == 2:
        name = _field("pairs/name", "sc:Text", {"field": {"@id": "image/name"}})
        name["references"] = {"field": {"@id": "mask/name"}}
        pictures = [_field(f"pairs/{kind}", IMAGE, {"field": {"@id": f"{kind}/{kind}"}}) for kind in shown]
        sets.append(_records("pairs", [name, *pictures]))
    return sets + [_records("pairs", _in_parquet(files)) for files in form.files if files.columns]


def _in_parquet(files: Files) -> list[dict[str, Any]]:
    """The sample's index, and the pictures in columns."""
    source = {"fileSet": {"@id": files.name}}
    index = _field("pairs/index", "sc:Integer", source | {"extract": {"column": "index"}})
    bytes_of = {"transform": {"jsonPath": "bytes"}}
    return [index] + [
        _field(f"pairs/{name}", IMAGE, source | {"extract": {"column": name}} | bytes_of) for name in files.columns
    ]


def _name(records: str, files: Files) -> dict[str, Any]:
    source = {"fileSet": {"@id": files.name}, "extract": {"fileProperty": "filename"}}
    return _field(f"{records}/name", "sc:Text", source | {"transform": {"regex": r"^(\d+)\."}})


def _picture(records: str, files: Files) -> dict[str, Any]:
    source = {"fileSet": {"@id": files.name}, "extract": {"fileProperty": "content"}}
    return _field(f"{records}/{files.shows}", IMAGE, source)


def _records(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": name, "field": fields}


def _field(name: str, kind: str, source: dict[str, Any]) -> dict[str, Any]:
    """The field RECORDS/FIELD; source: what it is extracted from."""
    return {"@type": "cr:Field", "@id": name, "name": name.rpartition("/")[2], "dataType": kind, "source": source}
