"""Exports of a dataset version in the formats that others read: one file a format, and this table of them."""

from storage.exports.formats.base import Format
from storage.exports.formats.coco import CocoFormat
from storage.exports.formats.folders import FolderFormat
from storage.exports.formats.hf import HuggingFaceFormat
from storage.exports.formats.voc import VocFormat
from storage.exports.formats.webdataset import WebDatasetFormat
from storage.exports.formats.yolo import YoloFormat
from storage.exports.formats.zarr_v3 import ZarrFormat

FORMATS: dict[str, Format] = {
    "coco": CocoFormat(),
    "yolo": YoloFormat(),
    "voc": VocFormat(),
    "folders": FolderFormat(),
    "webdataset": WebDatasetFormat(),
    "hf": HuggingFaceFormat(),
    "zarr": ZarrFormat(),
}
