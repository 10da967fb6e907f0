"""The public door: what `import maskmill` gives, how quickly, from which folders, and which older imports work."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import maskmill
from maskmill import rooms
from storage.exports import FORMATS, format_of
from tests.storage.dataset import fake_build

ROOT = Path(__file__).resolve().parent.parent
PROMISED = {"open_dataset", "load_segmenter", "attentioncut", "CutConfig", "BuildConfig", "UserError", "build"}
OURS = {"analysis", "benchmarks", "flows", "models", "storage", "tasks"}


def python(*arguments: str, cwd: Path = ROOT, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that finds maskmill from any folder."""
    environment = {"PYTHONPATH": str(path), "PATH": "/usr/bin:/bin", "HOME": str(cwd)}
    return subprocess.run([sys.executable, *arguments], env=environment, cwd=cwd, capture_output=True, text=True)


def printed(script: str, cwd: Path = ROOT) -> str:
    """What a fresh interpreter prints; it must end well."""
    done = python("-c", script, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_opens_quickly_and_loads_nothing():
    script = "import sys, time; t = time.perf_counter(); import maskmill; print(time.perf_counter() - t, *sys.modules)"
    took, *loaded = min((printed(script).split() for _ in range(3)), key=lambda words: float(words[0]))
    assert float(took) < 0.3
    assert not {"torch", "prefect", "zarr", "pandas", "numpy", "pydantic", "typer"} & set(loaded)


def test_it_gives_what_it_names():
    assert set(maskmill.__all__) >= PROMISED
    for name in maskmill.__all__:
        assert getattr(maskmill, name) is getattr(maskmill, name)
        assert name in dir(maskmill) and re.search(rf"\b{name}\b", maskmill.__doc__), name
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", maskmill.__version__)
    with pytest.raises(AttributeError, match="no attribute 'open_datset'; it has .*open_dataset"):
        _ = maskmill.open_datset


def test_type_checkers_see_the_same_names():
    """Those that are loaded lazily, those that type checkers read, and `__all__`."""
    tree = ast.parse((ROOT / "maskmill/__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    places = {
        alias.asname or alias.name: f"{node.module}.{alias.name}" if node.module == "maskmill" else
        f"{node.module}:{alias.name}"
        for node in imports for alias in node.names
    }  # fmt: skip
    assert places == maskmill._PLACES and set(places) == set(maskmill.__all__)
    for place in places.values():
        assert (ROOT / place.split(".")[0] / "py.typed").exists(), "else the types in an installed package are not read"


# Lines that README, docs, cards and notebooks printed before there was a door, and what to import now where it moved.
OLDER = {
    "from storage.dataset import open_dataset": "maskmill.open_dataset",
    "from storage.dataset import diff": "maskmill.diff",
    "from models.attentioncut import attentioncut": "maskmill.attentioncut",
    "from models.attentioncut import Evidence": "maskmill.Evidence",
    "from models.attentioncut import cut": "maskmill.cut",
    "from models.config import CutConfig": "maskmill.CutConfig",
    "from models.config import BuildConfig": "maskmill.BuildConfig",
    "from storage.folders import open_folder": "maskmill.open_folder",
    "from storage.loader import KeptSamples": "maskmill.KeptSamples",
    "from storage.checkpoints import load_segmenter": "maskmill.load_segmenter",
    "from models.metrics import MaskScores": None,
    "from models.pocket.judges import segment": None,
    "from analysis.comparison import NAMES, Measurements, side_by_side": None,
    "from analysis.figures import COLOURS, overlay, sheet, showcase": None,
    "from analysis.statistics import folder_statistics, sample_statistics, statistics_summary, table_statistics": None,
    "import storage": None,
}


def test_older_imports_work_and_name_the_new_one():
    """In an interpreter each way: as users run it, and with every DeprecationWarning of their own lines an error."""
    script = f"""
import json, maskmill, warnings
told = {{}}
for line, place in json.loads({json.dumps(json.dumps(OLDER))}).items():
    with warnings.catch_warnings(record=True) as caught:
        if strict == "no":
            warnings.simplefilter("always")
        names = {{"__name__": "__main__"}}
        try:
            exec(line, names)
        except DeprecationWarning as error:
            caught.append(warnings.WarningMessage(error, DeprecationWarning, "<string>", 1))
    told[line] = sorted({{str(w.message) for w in caught if w.filename == "<string>"}})
    if place and strict == "no":
        assert names[line.split()[-1]] is eval(place), line
print(json.dumps(told))
"""
    for strict, flags in (("no", ()), ("yes", ("-W", "error::DeprecationWarning:__main__"))):
        done = python(*flags, "-c", f"strict = {strict!r}\n{script}")
        assert done.returncode == 0, done.stderr
        for line, told in json.loads(done.stdout.splitlines()[-1]).items():
            if OLDER[line] is None:
                assert not told
            else:
                (message,) = told
                assert f" is now {OLDER[line]};" in message


def snippets() -> dict[str, str]:
    """Python that we show to users: of README and docs, of the notebooks, and of exports' cards."""
    pages = [ROOT / "README.md", *(path for path in (ROOT / "docs").rglob("*.md") if path.name != "extending.md")]
    found = {}
    for page in pages:
        for i, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)):
            found[f"{page.relative_to(ROOT)}, block {i}"] = block
    for path in sorted((ROOT / "analysis/notebooks").glob("*.ipynb")):
        cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        found[path.name] = "\n".join(cells)
    return found | {f"card of {name}": format_of(name).loading for name in FORMATS}


@pytest.mark.parametrize("name", snippets())
def test_what_users_are_shown_goes_through_the_door_alone(name):
    for node in ast.walk(ast.parse(snippets()[name])):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.split(".")[0] not in OURS
        elif isinstance(node, ast.Import):
            assert not OURS & {alias.name.split(".")[0] for alias in node.names}


def test_the_readmes_python_runs(tmp_path, monkeypatch):
    with fake_build.open_writer(tmp_path / "data/shapes", 10) as writer:
        fake_build.finish(writer)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names = {"image": rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), "class_map": rng.random((8, 8))}
    names["self_attention"] = rng.random((64, 64))
    for name, block in snippets().items():
        if name.startswith("README.md"):
            exec(block, names)
    assert len(names["frame"]) == 10 and names["mask"].shape == (32, 32)


@pytest.fixture(params=["models/__init__.py", "models.py"])
def shadowed(request, tmp_path) -> Path:
    """A folder with a dataset, and with modules named as our packages."""
    with fake_build.open_writer(tmp_path / "dataset", 10) as writer:
        fake_build.finish(writer)
    (tmp_path / "models").mkdir()  # without Python in it, it hides nothing
    for name in (request.param, "storage.py", "flows.py", "tasks.py"):
        (tmp_path / name).write_text("VALUE = 'theirs'\n")
    return tmp_path


def test_a_script_beside_a_module_of_the_same_name_works_and_is_told(shadowed):
    (shadowed / "use.py").write_text(
        "import maskmill\n"
        "print(len(maskmill.open_dataset('dataset')))\n"
        "import flows.checks.build, models.errors, storage.places, tasks.cutting\n"
    )
    done = python("use.py", cwd=shadowed)
    assert done.returncode == 0 and done.stdout == "10\n", done.stderr
    assert done.stderr.count("UserWarning") == 1 and f"{shadowed}/storage.py" in done.stderr
    assert "use.py:2" in done.stderr


def test_the_command_works_beside_a_module_of_the_same_name(shadowed):
    done = python("-m", "maskmill", "info", "dataset", "--json", cwd=shadowed)
    assert done.returncode == 0 and done.stderr == "" and json.loads(done.stdout)["planned"] == 10


def test_a_notebook_beside_a_module_of_the_same_name_works(shadowed, monkeypatch):
    """Its kernel looks into the notebook's folder before it looks where maskmill is installed."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    source = (
        f"import sys\nsys.path.append({str(ROOT)!r})\nimport maskmill\n"
        "print(maskmill.__file__, len(maskmill.open_dataset('dataset')))"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    place = {"metadata": {"path": str(shadowed)}}
    NotebookClient(notebook, timeout=120, startup_timeout=180, resources=place).execute()
    said = {output.name: output.text for output in notebook.cells[0].outputs}
    assert said["stdout"] == f"{maskmill.__file__} 10\n" and f"{shadowed}/flows.py" in said["stderr"]


def test_processes_started_from_here_find_our_packages(shadowed):
    """As Dask's workers are: spawned, with this process's sys.path, and told of functions by their modules' names."""
    (shadowed / "helper.py").write_text(
        "from importlib import import_module\n\n\ndef file_of(name):\n    return import_module(name).__file__\n"
    )
    found = printed(
        "import multiprocessing\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from helper import file_of\n"
        "from maskmill.rooms import first_on_path\n"
        "with first_on_path(), ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:\n"
        "    print(*pool.map(file_of, ['models.errors', 'storage.places', 'flows.checks', 'tasks.base']))\n",
        cwd=shadowed,
    ).split()
    assert len(found) == 4 and all(Path(file).is_relative_to(ROOT) for file in found)


@pytest.mark.parametrize("name", ["models", "storage", "flows"])
def test_a_module_of_the_same_name_that_is_imported_already_is_named(shadowed, name):
    done = python("-c", f"import {name}\nimport maskmill", cwd=shadowed)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(f"models.errors.UserError: {shadowed}/{name}")
    assert f".py is imported as `{name}`, which hides maskmill's package of that name; rename yours" in last


def test_folders_without_python_hide_nothing(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/weights.pt").write_bytes(b"")
    assert printed("import maskmill; print(maskmill.CutConfig().alpha)", cwd=tmp_path)
    assert not printed("from maskmill import rooms; print(*rooms._shadowing())", cwd=tmp_path)


def test_rooms_are_the_packages_beside_maskmill():
    assert set(rooms.ROOMS) == OURS
    assert all((Path(rooms.ROOT) / name / "__init__.py").is_file() for name in rooms.ROOMS)
