"""Exports of a dataset version in the formats that others read: one file a format, and this table of them."""

from storage.exports.coco import CocoFormat
from storage.exports.folders import FolderFormat
from storage.exports.formats import Format
from storage.exports.hf import HuggingFaceFormat
from storage.exports.voc import VocFormat
from storage.exports.webdataset import WebDatasetFormat
from storage.exports.yolo import YoloFormat
from storage.exports.zarr_v3 import ZarrFormat

FORMATS: dict[str, Format] = {
    "coco": CocoFormat(),
    "yolo": YoloFormat(),
    "voc": VocFormat(),
    "folders": FolderFormat(),
    "webdataset": WebDatasetFormat(),
    "hf": HuggingFaceFormat(),
    "zarr": ZarrFormat(),
}
