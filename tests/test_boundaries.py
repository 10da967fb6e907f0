"""The design's first rule, enforced: who may import whom, and that a flow is light to import.

Reads the sources as syntax trees, so that imports inside functions count as well. Folders not written yet are skipped.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"flows", "tasks", "storage", "analysis", "models", "benchmarks", "maskmill", "tests"}
MAY_IMPORT = {
    "flows": {"flows", "tasks", "analysis", "storage", "models"},
    "tasks": {"tasks", "analysis", "storage", "models"},
    "analysis": {"analysis", "storage"},  # and models.errors, which all rooms raise
    "storage": {"storage", "models"},
    "models": {"models"},
}
# Rooms of models/, from the ground up: each may import from lower floors alone, so there is no circle.
FLOORS = (
    {"errors", "mappings", "digests", "atomic", "moved"},
    {"paths"},
    {"classes", "images", "batching", "hardware"},
    {"config"},
    {"cut", "training"},
    {"metrics", "backbone", "screening", "tuning"},
    {"pocket"},
    {"clip"},
    {"prompts", "photos"},
    {"segmenters"},
)
# library -> the folders or files that alone may import it
ONLY_IN = {
    "prefect": ("flows", "tasks"),
    "prefect_dask": ("flows/runners.py",),
    "zarr": ("storage",),
    "icechunk": ("storage",),
    "torch": ("models", "storage", "tasks", "benchmarks"),
}


def sources() -> list[Path]:
    """Every source file of the application, relative to the root; tests are free to import what they test."""
    folders = [ROOT / name for name in OURS - {"tests"}]
    found = [path for folder in folders for path in folder.rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in found)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every absolute import anywhere in a file; a relative one names its own package."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module if node.level == 0 and node.module else path.parts[0]


def breaches(path: Path) -> Iterator[str]:
    """One line for each import that a file may not make."""
    for line, module in imports(path):
        root = module.split(".")[0]
        if root in OURS and module != "models.errors" and root not in MAY_IMPORT.get(path.parts[0], OURS):
            yield f"{path}:{line}: {path.parts[0]} may not import {module}"
        if root in ONLY_IN and not any(path.as_posix().startswith(place) for place in ONLY_IN[root]):
            yield f"{path}:{line}: only {', '.join(ONLY_IN[root])} may import {module}"


@pytest.mark.parametrize("path", sources(), ids=str)
def test_imports_follow_the_direction(path: Path) -> None:
    assert not list(breaches(path))


@pytest.mark.parametrize("path", [p for p in sources() if p.parts[0] == "models" and len(p.parts) > 1], ids=str)
def test_rooms_of_models_import_downwards(path: Path) -> None:
    floor = {name: i for i, names in enumerate(FLOORS) for name in names}
    own = path.parts[1].removesuffix(".py")
    for line, module in imports(path):
        other = module.split(".")[1] if module.startswith("models.") else own
        lifts = own in ("__init__", "attentioncut")  # an older import path
        may = lifts or other == own or floor[other] < floor[own]
        assert may, f"{path}:{line}: models/{own} may not import {module}, on the same floor or above"


@pytest.mark.parametrize("path", [p for p in sources() if p.parts[0] in ("flows", "tasks")], ids=str)
def test_map_maps_its_first_argument_only(path: Path) -> None:
    """A pydantic model is iterable: `task.map(shards, config)` would silently map the config's fields."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "map":
            for value in [*node.args[1:], *(keyword.value for keyword in node.keywords)]:
                wrapped = isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] == "unmapped"
                assert wrapped, f"{path}:{node.lineno}: wrap {ast.unparse(value)} in unmapped()"


def loaded_by(modules: list[str]) -> set[str]:
    """Names in sys.modules of a fresh interpreter after importing `modules`."""
    script = "import sys\n" + "".join(f"import {name}\n" for name in modules) + "print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def module_names(folder: str) -> list[str]:
    names = [".".join(path.with_suffix("").parts) for path in sources() if path.parts[0] == folder]
    return [name.removesuffix(".__init__") for name in names]


def test_importing_flows_does_not_import_torch() -> None:
    loaded = loaded_by(module_names("flows"))
    assert not {"torch", "diffusers", "transformers", "open_clip"} & loaded


def test_importing_configs_and_the_command_line_does_not_import_torch_or_prefect() -> None:
    light = [name for name in module_names("models") if is_light(name)]
    assert not {"torch", "prefect"} & loaded_by([*light, "maskmill", "maskmill.cli"])


def is_light(module: str) -> bool:
    """Whether a module of models/ is read before anything heavy starts: configurations, names, facts, tokens."""
    return (
        module.startswith(
            ("models.config", "models.classes", "models.backbone.stable_diffusion", "models.backbone.unet")
        )
        or module.endswith(".config")
        or module in [f"models.backbone.{name}" for name in ("facts", "protocol", "tokens")]
        or module == "models.clip.categories"
        or module == "models.segmenters.registry"
    )


def test_importing_analysis_does_not_import_torch_or_prefect() -> None:
    assert not {"torch", "prefect"} & loaded_by(module_names("analysis"))
