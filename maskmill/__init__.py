"""Segmentation training data from class names: the API for Python programs and notebooks.

    import maskmill

    ds = maskmill.open_dataset("data/shapes")

data        open_dataset, diff, KeptSamples (a version's kept samples for torch), open_folder (photographs with masks)
building    build, BuildConfig
masks       attentioncut, cut and Evidence (from a dataset's arrays), CutConfig
segmenters  load_segmenter, MaskScores, judge (pocket's estimate of an object's mask)
errors      UserError: an error that the user can fix, with a message of one line
modules     figures (pictures of samples), statistics (measures of images and masks)

Each name is loaded on first use, so `import maskmill` is fast. Everything else is internal and may move.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskmill import rooms

if TYPE_CHECKING:
    from maskmill import figures, statistics
    from maskmill.building import build
    from models.config.build import BuildConfig
    from models.config.cut import CutConfig
    from models.cut.attentioncut import Evidence, attentioncut, cut
    from models.errors import UserError
    from models.metrics import MaskScores
    from models.pocket.judges import segment as judge
    from storage.dataset.reader import diff, open_dataset
    from storage.photos.folders import open_folder
    from storage.runs.checkpoints import load_segmenter
    from storage.runs.loader import KeptSamples

    __version__: str

__all__ = [
    "BuildConfig",
    "CutConfig",
    "Evidence",
    "KeptSamples",
    "MaskScores",
    "UserError",
    "attentioncut",
    "build",
    "cut",
    "diff",
    "figures",
    "judge",
    "load_segmenter",
    "open_dataset",
    "open_folder",
    "statistics",
]

# Name -> its location: a module and the name in it, or a module.
_PLACES = {
    "BuildConfig": "models.config.build:BuildConfig",
    "CutConfig": "models.config.cut:CutConfig",
    "Evidence": "models.cut.attentioncut:Evidence",
    "KeptSamples": "storage.runs.loader:KeptSamples",
    "MaskScores": "models.metrics:MaskScores",
    "UserError": "models.errors:UserError",
    "attentioncut": "models.cut.attentioncut:attentioncut",
    "build": "maskmill.building:build",
    "cut": "models.cut.attentioncut:cut",
    "diff": "storage.dataset.reader:diff",
    "figures": "maskmill.figures",
    "judge": "models.pocket.judges:segment",
    "load_segmenter": "storage.runs.checkpoints:load_segmenter",
    "open_dataset": "storage.dataset.reader:open_dataset",
    "open_folder": "storage.photos.folders:open_folder",
    "statistics": "maskmill.statistics",
}

rooms.claim_names()


if not TYPE_CHECKING:  # to type checkers a name that is not imported above is a mistake

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("maskmill")
        if name not in _PLACES:
            raise AttributeError(f"module 'maskmill' has no attribute {name!r}; it has {', '.join(__all__)}")
        rooms.warn_of_hidden()
        module, _, attribute = _PLACES[name].partition(":")
        loaded = import_module(module)
        globals()[name] = getattr(loaded, attribute) if attribute else loaded  # Python looks here first from now on
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", *globals()})
