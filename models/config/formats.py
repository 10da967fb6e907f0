"""The formats of export: their names, for configurations and help texts, and where each is written. Imports nothing."""

# Name -> the class that writes it; storage/exports/__init__.py imports it where it is used.
FORMATS = {
    "coco": "storage.exports.formats.coco:CocoFormat",
    "yolo": "storage.exports.formats.yolo:YoloFormat",
    "voc": "storage.exports.formats.voc:VocFormat",
    "folders": "storage.exports.formats.folders:FolderFormat",
    "webdataset": "storage.exports.formats.webdataset:WebDatasetFormat",
    "hf": "storage.exports.formats.hf:HuggingFaceFormat",
    "zarr": "storage.exports.formats.zarr_v3:ZarrFormat",
}


def format_names(quote: str = "") -> str:
    """The names in a sentence, as in 'coco, voc or zarr'."""
    *names, last = (f"{quote}{name}{quote}" for name in FORMATS)
    return f"{', '.join(names)} or {last}"
