"""Scores in a folder: a round trip, and tables that are not ours."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.errors import UserError
from storage.photos.folders import Benchmark
from storage.results.scores import Scored, ScoreFolder


def test_what_was_written_is_read(tmp_path):
    rows = [
        Scored("a", "a.png", made_from="1", figures={"iou": 0.5}, curves={"f": np.arange(3.0)}),
        Scored("b", "b.png", error="b.png: expected a picture"),
    ]
    scores = ScoreFolder(tmp_path)
    scores.write(1, rows)
    first, second = scores.read_shard(1)
    assert (first.name, first.figures) == ("a", {"iou": 0.5}) and first.curves["f"].tolist() == [0, 1, 2]
    assert second == rows[1] and scores.read_shard(0) == []


@pytest.mark.parametrize("how", ["text", "cut", "other columns"])
def test_a_table_that_is_not_ours_is_named(tmp_path, how):
    scores = ScoreFolder(tmp_path)
    scores.write(0, [Scored("a", "a.png", figures={"iou": 0.5})])
    (file,) = tmp_path.rglob("*.parquet")
    if how == "other columns":
        pd.DataFrame({"iou": [0.5]}).to_parquet(file)
    else:
        file.write_bytes(b"a text" if how == "text" else file.read_bytes()[:-40])
    with pytest.raises(UserError, match=f"{file}: is not a table of scores .*remove it"):
        scores.read_shard(0)


def test_scores_of_images_of_any_name_are_found_by_their_labels(tmp_path):
    """A name that is not UTF-8, one as long as a file system allows, and one in a subfolder."""
    names = (b"caf\xe9".decode("utf-8", "surrogateescape"), "n" * 251, "n" * 250 + "m", "sub/é")
    photos = tuple(Path(f"{name}.jpg") for name in names)
    pairs, scores = Benchmark(names, photos, photos, has_boxes=False), ScoreFolder(tmp_path)
    rows = [Scored(n, str(p), f"{p}: torn") for n, p in zip(pairs.labels, photos, strict=True)]
    scores.write(0, rows)
    found = scores.read(pairs)
    assert tuple(row.name for row in found) == pairs.labels and found[0].photo == "caf%E9.jpg"
    for row in found:
        scores.write_prediction(row.name, np.ones((2, 3), np.float32))
    assert len(list((tmp_path / "predictions").rglob("*.png"))) == 4
    assert scores.prediction_path("n" * 243).name == "n" * 243 + ".png"
    assert all(scores.prediction_path(row.name).exists() for row in found)
