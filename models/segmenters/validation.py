"""A segmenter's metrics on validation samples, which a training computes after each epoch. Knows no store."""

from collections.abc import Iterable

import numpy as np

from models.errors import UserError
from models.metrics import acc, f_curve, iou, mae
from models.segmenters.judged import void_of
from models.segmenters.protocol import Batch, Segmenter
from models.training.loop import ADVICE


def validation_figures(segmenter: Segmenter, batches: Iterable[Batch]) -> dict[str, float]:
    """The metrics that are quick to compute, over all samples; "score", which is maximised, is the mean IoU.

    They are of judged pixels; "void" is the number of the others, absent if there are none. UserError if a mask is not
    finite, or no pixel is judged.
    """
    rows, curves, num_void = [], [], 0
    for batch in batches:
        soft_masks = segmenter.soft_masks(batch)
        if not np.isfinite(soft_masks).all():
            raise UserError(f"training: masks in validation contain NaN or inf; {ADVICE}")
        void = void_of(batch)
        for i, (soft, truth) in enumerate(zip(soft_masks, batch["mask"].numpy(), strict=True)):
            if void is not None:
                judged = ~void[i].numpy()
                soft, truth = soft[judged], truth[judged]
                num_void += judged.size - truth.size
            if truth.size:
                rows.append([iou(soft, truth), acc(soft, truth), mae(soft, truth)])
                curves.append(f_curve(soft, truth))
    if not rows:
        raise UserError("training: no pixel of the masks for validation is judged; their labels are void everywhere")
    means = np.mean(rows, axis=0).tolist()
    f_max = float(np.mean(curves, axis=0).max())  # at one threshold for all samples
    figures = {"score": means[0], "iou": means[0], "acc": means[1], "mae": means[2], "f_max": f_max}
    return figures | ({"void": num_void} if num_void else {})
