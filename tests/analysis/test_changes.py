"""What a report says of two versions is what the two hold."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.changes import ABSENT, Changes, changes, draw_changed
from storage.dataset.reader import open_dataset
from tests.analysis.versions import three_versions


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Changes:
    path = tmp_path_factory.mktemp("changes") / "d"
    three_versions(path)
    return changes(open_dataset(path, "v3"), "v1")


def test_counts_and_transitions_are_those_of_both_tables(found: Changes) -> None:
    before, after = found.before.frame(), found.after.frame()
    assert {name: (a, b) for name, a, b in found.counts} == {
        "planned": (10, 14),
        "kept": ((before["status"] == "kept").sum(), (after["status"] == "kept").sum()),
        "rejected": (2, 3),
        "failed": (1, 1),
    }
    assert found.transitions.loc["kept", "kept"] == 7
    assert found.transitions.loc[ABSENT].sum() == 4 == (found.rows["change"] == "added").sum()
    assert found.transitions.to_numpy().sum() == 14


def test_configuration_names_what_differs_and_nothing_else(found: Changes) -> None:
    assert found.config == [("count", "10", "14"), ("cut.alpha", "2.5", "3.0")]


def test_scores_move_as_the_samples_in_both_do(found: Changes) -> None:
    rows = {name: row for name, *row in found.scores}
    before, after = found.before.frame(), found.after.frame()
    assert rows["CLIP score"][2:] == [0, 0.0]  # of the same images
    difference = (after["area"][:10] - before["area"]).fillna(0)  # the failed one has none
    moved = difference[difference != 0]
    assert rows["object size"][2:] == [len(moved), pytest.approx(moved.mean())]
    assert rows["object size"][0] == before.loc[before["status"] == "kept", "area"].median()


def test_masks_are_shown_by_how_much_they_changed(found: Changes, tmp_path: Path) -> None:
    first, second = found.before, found.after
    expected = {}
    for i in range(10):
        one, other = first[i].mask, second[i].mask
        if (one != other).any():
            expected[i] = (one & other).sum() / (one | other).sum()
    assert found.ious.to_dict() == pytest.approx(expected)
    cards = draw_changed(found, tmp_path / "changes")
    assert [card["index"] for card in cards] == sorted(expected, key=expected.__getitem__)
    picture = np.asarray(Image.open(tmp_path / cards[0]["file"]))
    assert picture.shape == (cards[0]["height"], cards[0]["width"], 3) == (16, 3 * 24, 3)


def test_the_gallery_learns_of_every_sample(found: Changes) -> None:
    columns = found.columns()
    iou, changed = columns["mask IoU with v1"], columns["changed since v1"]
    assert changed[10:].tolist() == ["added"] * 4 and iou[10:].isna().all()
    assert iou[3] == 1 and changed[3] == "nothing"  # the failed sample is as it was
    assert (iou[:10] == found.rows["mask_iou"].reindex(range(10)).fillna(1)).all()
    assert all("mask" in changed[i] for i in found.ious.index)
