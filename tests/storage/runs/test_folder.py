"""A run's description: a round trip, and config.json as maskmill wrote it before `layout` was a field of its own."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.rendered import rendered_dataset, rendered_folder
from models.segmenters.diffusionseg.config import DiffusionSegConfig
from models.segmenters.smp.config import UNetConfig
from storage.runs.folder import FILE, check_run, create_run, open_run
from storage.sources import Source

OLDER = {  # of commit fc9895f: fields by their first names, a folder's layout within the version
    "maskmill_version": "0.1.0",
    "config": {
        "segmenter": "unet",
        "epochs": 1,
        "batch_size": 2,
        "accumulate": 2,
        "learning_rate": 0.001,
        "weight_decay": 0.0,
        "schedule": "cosine",
        "warm_up": 3,
        "clip": 1.0,
        "validation": 0.2,
        "limit": None,
        "patience": None,
        "seed": 0,
        "save_every": 200,
        "tensorboard": False,
        "run": {"device": "cpu", "dtype": "auto", "batch_size": 8, "workers": 0, "address": None},
        "encoder": "resnet18",
        "encoder_weights": "random",
        "size": 64,
        "flips": True,
    },
    "data": "/photos/DUTS-TR",
    "version": "DUTS-TR:51458b74",
    "training": 5,
}
CONFIG = UNetConfig(
    epochs=1, batch_size=2, gradient_accumulation_steps=2, lr_schedule="cosine", warmup_steps=3, max_grad_norm=1.0,
    val_fraction=0.2, encoder="resnet18", size=64, run={"device": "cpu"},
)  # fmt: skip
DUTS = Source(path=Path("/photos/DUTS-TR"), layout="DUTS-TR", version="51458b74")


def written(path: Path, **changes: object) -> Path:
    path.mkdir()
    (path / FILE).write_text(json.dumps(OLDER | changes))
    return path


def test_an_older_run_on_a_folder_opens_as_what_it_was_and_is_written_anew_when_resumed(tmp_path):
    path = written(tmp_path / "run")
    run = open_run(path)
    assert (run.config, run.source, run.training) == (CONFIG, DUTS, 5)
    check_run(path, CONFIG, DUTS)
    with pytest.raises(ValueError, match="version 'DUTS-TR:51458b74' where 'DUTS-TR:0badcafe' is requested"):
        check_run(path, CONFIG, DUTS.model_copy(update={"version": "0badcafe"}))
    assert create_run(path, CONFIG, DUTS, 5) == run
    content = json.loads((path / FILE).read_text())
    fields = ("data", "layout", "version", "training")
    assert [content[name] for name in fields] == ["/photos/DUTS-TR", "DUTS-TR", "51458b74", 5]


def test_an_older_run_on_a_dataset_has_no_layout(tmp_path):
    run = open_run(written(tmp_path / "run", data="/data/shapes", version="v3"))
    assert run.source == Source(path=Path("/data/shapes"), version="v3") and run.source.edition() == "v3"


def test_what_earlier_predictions_were_made_by_keeps_its_names():
    """Else they would all be made again: their digests are of these words."""
    trained = {name: OLDER["config"][name] for name in OLDER["config"] if name not in ("run", "epochs", "patience")}
    assert CONFIG.predicts_by() == {k: v for k, v in trained.items() if k not in ("save_every", "tensorboard")}
    assert DUTS.identity() == {"data": OLDER["data"], "version": OLDER["version"]}
    decoder = DiffusionSegConfig.model_validate({"prior": {"clip": "none"}})
    assert decoder.predicts_by()["bilateral"] is False and "bilateral" not in decoder.identity()


def test_a_run_on_a_folder_says_where_its_layout_and_its_version_are(tmp_path):
    photos = rendered_folder(tmp_path / "photos", 3, seed=5)
    source = Source(path=photos, layout="folder")
    source = source.resolved(source.open())
    run = create_run(tmp_path / "run", CONFIG, source, 2)
    assert (
        open_run(tmp_path / "run") == run
        and run.source == source
        and run.source.open().names == ("0000", "0001", "0002")
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return rendered_dataset(tmp_path_factory.mktemp("rendered") / "data", 6, rejected=(3,))


def moved(dataset: Path, to: Path) -> Source:
    shutil.copytree(dataset, to)
    return resolved(to)


def resolved(path: Path) -> Source:
    source = Source(path=path)
    return source.resolved(source.open())


def as_older(run: Path) -> None:
    """A run's config.json as it was before the content was recorded."""
    stored = json.loads((run / FILE).read_text())
    del stored["content"]
    (run / FILE).write_text(json.dumps(stored))


@pytest.mark.parametrize("older", [False, True])
def test_data_that_moved_are_known_by_their_version_and_keep_their_identity(dataset, tmp_path, older, caplog):
    first, source = moved(dataset, tmp_path / "first"), None
    run = create_run(tmp_path / "run", CONFIG, first, 4)
    if older:
        as_older(tmp_path / "run")
    for place in ("second", "third/of", "first"):  # the last is where they began
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (source or first).path.rename(tmp_path / place)
        source = resolved(tmp_path / place)
        check_run(tmp_path / "run", CONFIG, source, 4)
        again = create_run(tmp_path / "run", CONFIG, source, 4)
        assert again.source == source and again.source.open().kept().tolist() == [0, 1, 2, 4, 5]
        assert again.data_identity() == run.data_identity() == first.identity()
        assert open_run(tmp_path / "run") == again
    assert sum("moved from" in record.getMessage() for record in caplog.records) == 3
    assert again.source == first and "moved_to" not in json.loads((tmp_path / "run" / FILE).read_text())


@pytest.mark.parametrize("older", [False, True])
def test_other_data_of_the_same_version_elsewhere_are_refused(dataset, tmp_path, older):
    first = moved(dataset, tmp_path / "first")
    create_run(tmp_path / "run", CONFIG, first, 4)
    if older:
        as_older(tmp_path / "run")
    other = resolved(rendered_dataset(tmp_path / "other", 6, rejected=(2,)))
    assert other.edition() == first.edition()
    for _ in range(2):  # with the first data in place, and gone
        with pytest.raises(ValueError, match="data .*first.* where .*other.* is requested"):
            check_run(tmp_path / "run", CONFIG, other, 3)
        shutil.rmtree(first.path, ignore_errors=True)


def test_a_folder_that_moved_is_known_by_its_names(tmp_path):
    photos = rendered_folder(tmp_path / "photos", 3, seed=5)
    source = Source(path=photos, layout="folder")
    source = source.resolved(source.open())
    run = create_run(tmp_path / "run", CONFIG, source, 2)
    photos.rename(tmp_path / "moved")
    here = source.model_copy(update={"path": tmp_path / "moved"})
    assert create_run(tmp_path / "run", CONFIG, here, 2).data_identity() == run.data_identity()
    (tmp_path / "moved" / "images" / "0001.png").rename(tmp_path / "moved" / "images" / "x.png")
    (tmp_path / "moved" / "masks" / "0001.png").rename(tmp_path / "moved" / "masks" / "x.png")
    there = Source(path=tmp_path / "moved", layout="folder")
    with pytest.raises(ValueError, match="version 'folder:.*' where 'folder:"):
        check_run(tmp_path / "run", CONFIG, there.resolved(there.open()))
