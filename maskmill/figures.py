"""Pictures of samples for notebooks: arrays in, arrays of pixels out."""

from analysis.figures import COLOURS, overlay, sheet, showcase

__all__ = ["COLOURS", "overlay", "sheet", "showcase"]
