"""A run's description: a round trip, and config.json as maskmill wrote it before `layout` was a field of its own."""

import json
from pathlib import Path

import pytest

from benchmarks.rendered import rendered_folder
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
