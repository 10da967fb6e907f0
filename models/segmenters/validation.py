"""A segmenter's figures on validation samples, as a training takes them after each epoch. Knows no store."""

from collections.abc import Iterable

import numpy as np

from models.errors import UserError
from models.metrics import acc, f_curve, iou, mae
from models.segmenters.protocol import Batch, Segmenter
from models.training.loop import ADVICE


def validation_figures(segmenter: Segmenter, batches: Iterable[Batch]) -> dict[str, float]:
    """The metrics that are quick to take, over all samples; "score", the one to raise, is the mean IoU.

    UserError for masks that are not finite.
    """
    rows, curves = [], []
    for batch in batches:
        soft_masks = segmenter.soft_masks(batch)
        if not np.isfinite(soft_masks).all():
            raise UserError(f"training: a validation's masks have values that are no number; {ADVICE}")
        for soft, truth in zip(soft_masks, batch["mask"].numpy(), strict=True):
            rows.append([iou(soft, truth), acc(soft, truth), mae(soft, truth)])
            curves.append(f_curve(soft, truth))
    means = np.mean(rows, axis=0).tolist()
    f_max = float(np.mean(curves, axis=0).max())  # at one threshold for all
    return {"score": means[0], "iou": means[0], "acc": means[1], "mae": means[2], "f_max": f_max}
