"""Croissant metadata (mlcommons.org/croissant/1.0): the export's files, and samples.csv column by column."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from models import digests
from storage.exports.card import CONFIG, TABLE
from storage.exports.formats.base import Format
from storage.exports.plan import Plan

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
KINDS = {"i": "sc:Integer", "u": "sc:Integer", "f": "sc:Float", "b": "sc:Boolean"}  # by numpy's kind; others are text


def write_croissant(folder: Path, plan: Plan, form: Format, table: pd.DataFrame) -> None:
    """Write croissant.json; table: the content of samples.csv."""
    objects = [_file(folder, TABLE, "text/csv"), _file(folder, CONFIG, "application/yaml")]
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
        "isBasedOn": str(plan.config.get("backbone", "unknown")),
        "distribution": objects + sets,
        "recordSet": [{"@type": "cr:RecordSet", "@id": "samples", "field": _fields(table)}],
    }
    (folder / NAME).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _file(folder: Path, name: str, media_type: str) -> dict[str, Any]:
    file_object = {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name}
    return file_object | {"encodingFormat": media_type, "sha256": digests.of_file(folder / name)}


def _fields(table: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {"index": "i"} | {str(name): kind.kind for name, kind in table.dtypes.items()}
    return [
        {
            "@type": "cr:Field",
            "@id": f"samples/{name}",
            "name": name,
            "dataType": KINDS.get(kind, "sc:Text"),
            "source": {"fileObject": {"@id": TABLE}, "extract": {"column": name}},
        }
        for name, kind in columns.items()
    ]
