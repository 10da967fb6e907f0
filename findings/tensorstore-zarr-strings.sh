#!/usr/bin/env bash
# Packages: zarr 3.1.6, tensorstore 0.1.86, numpy 2.3.4. Date: 2026-12-01.
#
# zarr-python writes text into a Zarr v3 group as dtype `string` (variable length) or `<U8` (fixed length), bytes as
# `S8`. tensorstore has the dtypes `string` and `ustring`, so one would expect its driver `zarr3` to open those arrays
# too. It opens the numeric arrays of the group and none of these: "Error parsing object member "data_type": string
# data type is not one of the supported data types", and the same for `fixed_length_utf32` and
# `null_terminated_bytes`. zarr-python warns, when it writes the fixed-length ones, that they have no Zarr v3
# specification; not for `string`.
# What works: the text as UTF-8, padded with zeros, in an array of uint8 with one more axis.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet zarr==3.1.6 tensorstore==0.1.86 numpy==2.3.4 || exit 2
cat > show.py <<'P'
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorstore
import zarr

NAMES = ["cat", "hérisson", "ox"]
encoded = np.array([name.encode() for name in NAMES])
group = zarr.open_group("data.zarr", mode="w", zarr_format=3)
group.create_array("numbers", data=np.arange(3, dtype="int32"))
group.create_array("bytes_as_uint8", data=encoded.view("uint8").reshape(len(NAMES), -1))
with warnings.catch_warnings():
    warnings.simplefilter("ignore", zarr.errors.UnstableSpecificationWarning)
    group.create_array("fixed_text", data=np.array(NAMES))
    group.create_array("fixed_bytes", data=encoded)
text = group.create_array("text", shape=(3,), dtype="string")
text[:] = np.array(NAMES, dtype=object)
assert text[:].tolist() == group["fixed_text"][:].tolist() == NAMES  # zarr itself reads them all

print("zarr", version("zarr"), "tensorstore", version("tensorstore"))
opened = {}
for name in sorted(group.array_keys()):
    store = {"driver": "file", "path": str(Path("data.zarr", name).resolve()) + "/"}
    try:
        opened[name] = tensorstore.open({"driver": "zarr3", "kvstore": store}).result().read().result()
        print(f"  {name}: opened, {opened[name].dtype} {opened[name].shape}")
    except ValueError as error:
        print(f"  {name}: not opened,", str(error).partition("zarr.json\": ")[2].partition(": bool,")[0])
assert set(opened) == {"numbers", "bytes_as_uint8"}
back = [bytes(row).rstrip(b"\0").decode() for row in opened["bytes_as_uint8"]]
print("  bytes_as_uint8 decoded:", back)
sys.exit(back != NAMES)
P
venv/bin/python show.py || exit 1
