"""Screening in builds: ranked once over the whole dataset, whatever its shards, kills and extensions; and in recuts."""

import numpy as np
import pytest

import flows.build
import tasks.screening
from flows.build import finish
from flows.checks.recut import first_stage
from models.config.build import BuildConfig
from models.screening.rules import RULES, Rule, Score
from storage.dataset import schema
from storage.dataset.reader import Dataset, open_dataset
from storage.dataset.repository import BUILD, MAIN, group_of
from storage.dataset.shards import write_shard
from storage.dataset.writer import DatasetWriter
from tests.flows.conftest import arrays, assert_equal, changed

CONFIG = BuildConfig.model_validate(
    {
        "classes": ["ball", "ring"],
        "count": 30,
        "shard_size": 8,
        "screen": {"duplicate_image": 0.999, "drop_uncertain": 0.3, "clip_top_up": 8, "min_clip": 0.3},
        "run": {"device": "cpu"},
    }
)
TWINS = 5  # every sample's image is that of the sample so many before, of every third


def solved(index: int) -> dict[str, object]:
    """A sample that is cut, from its index alone."""
    rng = np.random.default_rng([3, index])
    seen = np.random.default_rng([4, abs(index - TWINS * (index % 3 == 2))])
    mask = np.zeros((32, 32), dtype=bool)
    mask[:, : rng.integers(1, 20)] = True
    return {
        "image": np.kron(seen.integers(0, 256, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8),
        "mask": mask,
        "objectness": rng.uniform(0.01, 0.99, (4, 4)).astype(np.float32),
        "area": mask.mean(),
        "uncertainty": rng.uniform(0, 0.6),
        "category": ("ball", "ring")[index // TWINS % 2 if index % 3 else 0],
        "prompt": f"a ball {index}",
        "status": schema.CUT,
    }


def opened(path, config) -> DatasetWriter:
    """A writer of a dataset all of whose samples are cut."""
    stored = config.model_dump(mode="json", by_alias=True)
    writer = DatasetWriter.open(
        path, stored, config.identity(), (32, 32), (4, 4), config.shard_size, config.count, None
    )
    for shard in writer.pending("plan"):
        indices = range(config.count)[schema.shard_rows(shard, config.count, config.shard_size)]
        lacking = [i for i in indices if writer_lacks(writer, i)]
        samples = [solved(i) for i in lacking]
        fork = writer.fork()
        columns = {name: np.stack([np.asarray(sample[name]) for sample in samples]) for name in samples[0]}
        write_shard(fork, shard, columns, rows=[i - indices[0] for i in lacking])
        writer.commit(fork, f"Cut shard {shard}")
    return writer


def writer_lacks(writer: DatasetWriter, index: int) -> bool:
    return open_dataset(writer.path, BUILD).frame()["prompt"][index] == ""


def screen(path, config) -> Dataset:
    with opened(path, config) as writer:
        finish(writer, [], config, "Publish")
    return open_dataset(path)


def screen_again(path, config, stage) -> Dataset:
    """What a recut does, when no mask is solved."""
    with DatasetWriter.reopen(path) as writer:
        writer.recut(config.model_dump(mode="json", by_alias=True), config.identity(), stage)
        finish(writer, [], config, "Publish")
    return open_dataset(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "dataset"
    screen(path, CONFIG)
    return path


def test_each_rule_shows_in_the_table(whole):
    frame = open_dataset(whole).frame()
    assert {"duplicate image", "most uncertain", "uncertain", "too small"} <= set(frame["reason"])
    kept, dropped = frame[frame["status"] == "kept"], frame[frame["reason"] == "most uncertain"]
    assert len(dropped) == int(0.3 * (len(kept) + len(dropped))) > 0
    assert dropped["entropy"].min() >= kept["entropy"].max()
    assert (frame.loc[frame["reason"] == "duplicate image", "similarity"] >= 0.999).all()
    assert not (kept["similarity"] >= 0.999).any() and (kept["clip_score"] < 0.3).any()  # topped up
    embedding = open_dataset(whole).group["embedding"]
    assert embedding.shape == (30, 128) and embedding.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(embedding[:].astype(float), axis=1), 1, atol=1e-2)


def test_an_extended_dataset_is_screened_as_a_direct_build(whole, tmp_path):
    """Also where the version before kept what the whole rejects; that version stays as it is."""
    first = screen(tmp_path / "dataset", changed(CONFIG, count=11)).frame()
    second = screen(tmp_path / "dataset", CONFIG).frame()
    assert_equal(tmp_path / "dataset", whole)
    assert (first["status"] != second["status"][:11]).any()
    assert open_dataset(tmp_path / "dataset", "v1").frame().equals(first)


def test_shards_change_no_verdict(whole, tmp_path):
    assert screen(tmp_path / "dataset", changed(CONFIG, shard_size=7)).frame().equals(open_dataset(whole).frame())


@pytest.mark.parametrize(
    "owner, name",
    [(flows.build, "screen_shard"), (flows.build, "rank_samples"), (DatasetWriter, "publish")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_stopped_around_the_ranking_and_resumed_it_ends_as_uninterrupted(owner, name, whole, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(owner, name, stop)
        screen(tmp_path / "dataset", CONFIG)
    assert open_dataset(tmp_path / "dataset", BUILD).versions == ()
    screen(tmp_path / "dataset", CONFIG)
    assert_equal(tmp_path / "dataset", whole)


def test_ranked_again_nothing_changes_and_nothing_is_committed(whole, tmp_path):
    screen(tmp_path / "dataset", CONFIG)
    with DatasetWriter.reopen(tmp_path / "dataset") as writer:
        tip = writer._repo.lookup_branch(BUILD)
        writer.commit(tasks.screening.rank_samples(writer.fork(), CONFIG), "Rank the samples")
        assert writer._repo.lookup_branch(BUILD) == tip


def test_a_recut_begins_where_the_config_changes():
    assert first_stage(["screen.max_area", "cut.lambda"]) == first_stage(["sampling.top_k"]) == "cut"
    assert first_stage(["screen.clip", "screen.max_area"]) == "screen"
    assert first_stage(["screen.max_area", "run.workers"]) is None


def test_screened_by_other_bounds_scores_stay_and_the_first_bounds_give_the_first_verdicts(
    whole, tmp_path, monkeypatch
):
    out = tmp_path / "dataset"
    screen(out, CONFIG)
    plain = changed(CONFIG, screen={"duplicate_image": None, "drop_uncertain": 0.0})
    with monkeypatch.context() as patched:
        patched.setattr(flows.build, "screen_shard", None)
        frame = screen_again(out, plain, None).frame()
        assert not {"most uncertain", "duplicate image"} & set(frame["reason"]) and frame["similarity"].isna().all()
        screen_again(out, CONFIG, None)
    assert_equal(out, whole)
    without = arrays(screen_again(out, changed(plain, screen={"clip": "none"}), "screen"))
    assert "embedding" not in without and np.isnan(without["clip_score"]).all()
    screen_again(out, CONFIG, "screen")
    assert_equal(out, whole)


def brightness_of(image: np.ndarray) -> float:
    return float(image.mean() / 255)


TOO_BRIGHT = Rule(
    ("brightness",),
    lambda of, config, num_names: of["brightness"] <= 0.5,
    scores={"brightness": Score(("image",), brightness_of)},
)


@pytest.mark.parametrize("how", ["extended", "recut"])
def test_a_rule_is_one_row_and_older_samples_are_scored_for_it_and_judged_by_it(how, tmp_path, monkeypatch):
    off = {"duplicate_image": None, "drop_uncertain": 0.0, "clip_top_up": 0, "min_clip": 0.0}
    out, plain = tmp_path / "dataset", changed(CONFIG, screen=off)
    before = screen(out, changed(plain, count=11)).frame()
    assert "brightness" not in before
    monkeypatch.setitem(RULES, "too bright", TOO_BRIGHT)
    assert np.isnan(open_dataset(out).frame()["brightness"]).all()  # read as it is
    if how == "extended":
        after = screen(out, plain)
    else:
        after = screen_again(out, changed(plain, count=11, screen={"max_area": 0.9}), None)
    frame = after.frame()
    assert frame["brightness"].tolist() == pytest.approx([brightness_of(image) for image in after.group["image"][:]])
    assert isinstance(after[0].area, float)  # a sample has the scores that it has fields for
    for index, row in before.iterrows():
        passed = row["reason"] in ("", "wrong class") and frame["brightness"][index] > 0.5
        assert frame["reason"][index] == ("too bright" if passed else row["reason"])
    kept, rejected = (frame[frame["reason"] == reason] for reason in ("", "too bright"))
    assert (kept["brightness"] <= 0.5).all() and (rejected["brightness"] > 0.5).all()
    assert set(before.index) & set(kept.index) and set(before.index) & set(rejected.index)


def test_a_column_of_a_rule_that_is_off_is_not_asked_for(tmp_path, monkeypatch):
    """Until the rule is on: then every sample has it."""
    off = changed(CONFIG, screen={"duplicate_image": None, "drop_uncertain": 0.0})
    out = tmp_path / "dataset"
    screen(out, changed(off, count=11))
    rule = Rule(TOO_BRIGHT.reads, TOO_BRIGHT.passes, lambda config: config.max_area < 0.8, TOO_BRIGHT.scores)
    monkeypatch.setitem(RULES, "too bright", rule)
    frame = screen(out, off).frame()
    assert frame["brightness"][:11].isna().all() and frame["brightness"][11:].notna().all()
    assert "too bright" not in set(frame["reason"])
    frame = screen_again(out, changed(off, screen={"max_area": 0.7}), None).frame()
    assert frame["brightness"].notna().all() and "too bright" in set(frame["reason"])


@pytest.mark.parametrize(
    "column, screen_for",
    [
        ("embedding", {"drop_uncertain": 0.0, "duplicate_image": 0.999}),
        ("num_components", {"max_components": 1, "duplicate_image": None, "drop_uncertain": 0.0}),
        ("clip_score", {"duplicate_image": None, "drop_uncertain": 0.0}),
        ("entropy", {"duplicate_image": None, "drop_uncertain": 0.3}),
    ],
)
def test_whatever_an_active_rule_lacks_is_made_again(column, screen_for, tmp_path):
    expected = screen(tmp_path / "whole", changed(CONFIG, screen=screen_for))
    out, first = tmp_path / "dataset", changed(CONFIG, count=11, screen=screen_for)
    screen(out, first)
    with DatasetWriter.reopen(out) as writer:
        writer.edit(lambda group: group.__delitem__(column), "As an older maskmill left it")
        snapshot = writer._repo.lookup_branch(BUILD)
        writer._repo.create_tag("v2", snapshot_id=snapshot)
        writer._repo.reset_branch(MAIN, snapshot)
    screen(out, changed(CONFIG, screen=screen_for))
    assert_equal(out, expected.path)


def test_a_dataset_older_than_the_scores_is_scored_when_it_goes_on(whole, tmp_path):
    out = tmp_path / "dataset"
    first = changed(CONFIG, count=11)
    screen(out, first)
    with DatasetWriter.reopen(out) as writer:
        session = writer._repo.writable_session(BUILD)
        for name in ("border", "num_components", "entropy", "similarity", "embedding"):
            del group_of(session, "r+")[name]
        snapshot = session.commit("As an older maskmill left it")
        writer._repo.create_tag("v2", snapshot_id=snapshot)
        writer._repo.reset_branch(MAIN, snapshot)
    assert screen(out, first).version == "v2"  # nothing to do: it stays as it is
    assert open_dataset(out).frame()["entropy"].isna().all()
    assert screen(out, CONFIG).version == "v3"
    assert_equal(out, whole)
