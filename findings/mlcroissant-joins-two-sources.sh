#!/usr/bin/env bash
# Packages: mlcroissant 1.1.1, pandas 3.1.1, numpy 2.3.4. Date: 2026-12-01.
#
# The Croissant 1.1 specification makes `references` a property of a field, "the equivalent of a foreign key", of
# cardinality MANY, and joins record sets by it. So one would expect a table with two foreign keys, one to a record
# set of the images and one to a record set of the masks (a FileSet each), to give records of name, image and mask.
# - Each join alone, table and images or table and masks, gives the right records.
# - Both in one record set are refused at loading: "You try to use the sources with names ('image', 'mask') as
#   sources, but you didn't declare a join between them": each pair of sources is asked to have a join of its own.
# - With a third `references`, between images and masks, the metadata are accepted, but reading the records raises
#   GenerationError: the operation Join returns from its loop over the joins after the first
#   one, so the columns of the third source are missing.
# What works: a record set for each join, the two put together by the caller.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mlcroissant==1.1.1 pandas==3.1.1 numpy==2.3.4 || exit 2
cat > show.py <<'P'
import json
import sys
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import mlcroissant

KINDS, PROPERTIES = ("image", "mask"), ("filename", "content")
for kind in KINDS:
    Path(kind).mkdir()
    for name in "ab":
        Path(kind, f"{name}.txt").write_text(f"{kind} {name}")
Path("table.csv").write_text("sample,image_name,mask_name\n1,a,a\n2,b,b\n")


def field(name, references=None, **source):
    link = {"references": {"field": {"@id": references}}} if references else {}
    return {"@type": "cr:Field", "@id": name, "dataType": "sc:Text", "source": source} | link


def column(name, references=None):
    return field(f"all/{name}", references, fileObject={"@id": "table"}, extract={"column": name})


def records(*kinds, more=()):
    fields, sets = [column("sample"), *more], []
    table = {"@type": "cr:FileObject", "@id": "table", "contentUrl": "table.csv", "encodingFormat": "text/csv"}
    distribution = [table | {"sha256": sha256(Path("table.csv").read_bytes()).hexdigest()}]
    for kind in kinds:
        here = {"encodingFormat": "text/plain", "includes": f"{kind}/*.txt"}
        distribution.append({"@type": "cr:FileSet", "@id": f"{kind}s"} | here)
        name, content = ({"fileSet": {"@id": f"{kind}s"}, "extract": {"fileProperty": p}} for p in PROPERTIES)
        both = [field(f"{kind}/name", **name, transform={"regex": r"^(\w+)\."}), field(f"{kind}/content", **content)]
        sets.append({"@type": "cr:RecordSet", "@id": kind, "field": both})
        fields += [column(f"{kind}_name", f"{kind}/name"), field(f"all/{kind}", field={"@id": f"{kind}/content"})]
    sets.append({"@type": "cr:RecordSet", "@id": "all", "field": fields})
    about = {"name": "pairs", "description": "pairs", "url": "https://example.org", "version": "1.0.0", "cite_as": "-"}
    about |= {"license": ["CC0-1.0"], "date_published": datetime(2026, 12, 1)}
    about = mlcroissant.Metadata(**about).to_json() | {"conformsTo": "http://mlcommons.org/croissant/1.1"}
    Path("croissant.json").write_text(json.dumps(about | {"distribution": distribution, "recordSet": sets}))
    try:
        found = list(mlcroissant.Dataset("croissant.json").records("all"))
        return [[row["all/sample"], *(row[f"all/{kind}"] for kind in kinds)] for row in found]
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[-1].strip()} {error.__cause__ or ''}"


print("mlcroissant", version("mlcroissant"))
single = [records(kind) for kind in KINDS]
both = records(*KINDS)
closed = records(*KINDS, more=[field("all/pair", "mask/name", field={"@id": "image/name"})])
print("  table and images:", single[0], "\n  table and masks:", single[1])
print("  table, images and masks:", both, "\n  with a join of images and masks too:", closed)
right = [[[n, f"{kind} {name}".encode()] for n, name in ((b"1", "a"), (b"2", "b"))] for kind in KINDS]
changed = single != right or "join between them" not in both or not closed.startswith("GenerationError")
sys.exit(changed)
P
venv/bin/python show.py || exit 1
