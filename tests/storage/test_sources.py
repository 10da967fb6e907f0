"""Sources: what a version of a dataset and a folder have in common, and what tells one from another."""

import numpy as np
import pytest

from benchmarks.rendered import rendered_dataset, rendered_folder
from storage.photos.folders import open_folder
from storage.sources import Source, usable


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return rendered_dataset(tmp_path_factory.mktemp("data") / "shapes", 5, rejected=(2,))


@pytest.fixture
def photos(tmp_path):
    return rendered_folder(tmp_path / "photos", 3, seed=5)


def test_a_dataset_is_resolved_to_its_latest_version(dataset, monkeypatch):
    monkeypatch.chdir(dataset.parent)
    given = Source(path="shapes")
    resolved = given.resolved(given.open())
    assert resolved == Source(path=dataset.resolve(), version="v1")
    assert resolved.edition() == "v1" and resolved.identity() == {"data": str(dataset.resolve()), "version": "v1"}
    assert resolved.image_size() == (128, 128) and usable(resolved.open()).tolist() == [0, 1, 3, 4]
    assert resolved.label() == "shapes v1"


def test_a_folder_is_resolved_to_the_digest_of_its_names(photos):
    given = Source(path=photos, layout="folder")
    resolved = given.resolved(given.open())
    assert resolved.version == open_folder("folder", photos).digest() and len(resolved.version) == 8
    assert resolved.edition() == f"folder:{resolved.version}"
    assert resolved.identity() == {"data": str(photos.resolve()), "version": f"folder:{resolved.version}"}
    assert resolved.image_size() is None
    np.testing.assert_array_equal(usable(resolved.open()), np.arange(3))


def test_a_folder_of_other_files_is_not_the_version_that_was_named(photos):
    given = Source(path=photos, layout="folder")
    resolved = given.resolved(given.open())
    for part in ("images", "masks"):
        (photos / part / "0001.png").rename(photos / part / "new.png")
    with pytest.raises(ValueError, match=f"expected the files of version {resolved.version}, found those of version"):
        resolved.open()
    given.check()
    with pytest.raises(ValueError, match="is a folder without versions"):
        resolved.check()
