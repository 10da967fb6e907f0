#!/usr/bin/env bash
# Packages: datumaro 1.13.12, protobuf 7.36.2, numpy 2.3.4, pillow 12.3.0. Date: 2026-12-01.
#
# A COCO folder (images/train/*.png, annotations/instances_train.json) is detected as `coco_instances`, and
# Dataset.import_from(folder) reads it. One would expect that to stay so with a CSV table, say of the samples, beside
# the folder `annotations`. But:
# - After a plain `pip install datumaro`, detection ends in a ModuleNotFoundError for `google`: the suffixes of all
#   files choose the importers to be loaded, that of AVA claims .csv, and its module imports protobuf, which datumaro
#   names in an extra (`datumaro[protobuf]`) only.
# - With protobuf, the answer is `coco_instances` and `tabular`: TabularDataImporter accepts each folder with a CSV
#   table in it, whatever else is there, with the same confidence (LOW) as COCO of one task. import_from raises
#   MultipleFormatsMatchError.
# What works: name the format, Dataset.import_from(folder, "coco"); or keep the table one folder deeper.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet datumaro==1.13.12 numpy==2.3.4 pillow==12.3.0 || exit 2
cat > show.py <<'P'
import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path

from datumaro.components.dataset import Dataset
from datumaro.components.environment import Environment
from PIL import Image

logging.disable()
root = Path(sys.argv[1])
(root / "images/train").mkdir(parents=True)
(root / "annotations").mkdir()
Image.new("RGB", (30, 20)).save(root / "images/train/a.png")
square = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 100, "bbox": [5, 5, 10, 10]}
square["segmentation"] = [[5, 5, 15, 5, 15, 15, 5, 15]]
images = [{"id": 1, "file_name": "a.png", "width": 30, "height": 20}]
coco = {"images": images, "categories": [{"id": 1, "name": "cat"}], "annotations": [square]}
(root / "annotations/instances_train.json").write_text(json.dumps(coco))


def outcome(label, call):
    try:
        found = call()
        print(f"  {label}: {found}")
    except Exception as error:
        found = type(error).__name__
        print(f"  {label}: {found}: {error}")
    return found


print("datumaro", version("datumaro"), *sys.argv[1:])
seen = [outcome("COCO", lambda: Environment().detect_dataset(str(root)))]
(root / "samples.csv").write_text("name,label\na.png,cat\n")
seen += [outcome("COCO and samples.csv", lambda: Environment().detect_dataset(str(root)))]
seen += [outcome("  import_from(folder)", lambda: len(Dataset.import_from(str(root))))]
seen += [outcome('  import_from(folder, "coco")', lambda: len(Dataset.import_from(str(root), "coco")))]
(root / "samples.csv").rename(root / "annotations/samples.csv")
seen += [outcome("COCO and annotations/samples.csv", lambda: Environment().detect_dataset(str(root)))]
coco, missing, both = ["coco_instances"], "ModuleNotFoundError", ["coco_instances", "tabular"]
plain = [coco, missing, missing, 1, missing]
whole = [coco, both, "MultipleFormatsMatchError", 1, coco]
sys.exit(seen != (plain if root.name == "plain" else whole))
P
venv/bin/python show.py plain || exit 1
venv/bin/pip install --quiet protobuf==7.36.2 || exit 2
venv/bin/python show.py with-protobuf || exit 1
