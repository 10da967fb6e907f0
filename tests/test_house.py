"""The shape of the house, enforced: small files with a subject, small folders, no import circle, light rooms.

Reads the sources as syntax trees. tests/test_boundaries.py holds the direction between the top folders.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("analysis", "benchmarks", "flows", "maskmill", "models", "storage", "tasks")
EVERYWHERE = (*OURS, "tests", "findings")
MAX_LINES, MAX_MODULES = 350, 14
HEAVY = {"torch", "torchvision", "diffusers", "transformers", "open_clip", "timm", "segmentation_models_pytorch"}
# What a room, given by its beginning, may import beside the standard library.
ONLY = {
    "models.config": {
        "models.config",
        "models.classes",
        "models.errors",
        "models.mappings",
        "models.moved",
        "models.paths",
        "pydantic",
        "yaml",
    },
    "models.classes": {"models.classes", "models.errors", "models.paths"},
    "models.cut": {"models.cut", "models.config", "models.errors", "numpy", "scipy"},
    "models.tuning": {"models.tuning", "models.cut", "models.config", "models.errors", "numpy"},
}
ALSO = {"models.classes.pocket": {"numpy"}, "models.cut.graph": {"maxflow"}, "models.cut.baselines": {"pydensecrf"}}


def files(*folders: str) -> list[Path]:
    """Every Python file below the folders, relative to the root."""
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in files(*OURS)}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below `node` that run when the module is imported: not functions, not what type checkers alone read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from at_import(child)


def imported(path: Path, nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Dotted names of modules that the nodes import, our own as far as they are modules; packages stand for more."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the full name"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in MODULES else str(node.module)


@cache
def imports(module: str, anywhere: bool = False) -> set[str]:
    """What a module of ours imports when it is imported, or anywhere in its file."""
    path = MODULES[module]
    tree = tree_of(path)
    return set(imported(path, ast.walk(tree) if anywhere else at_import(tree)))


def circle(edges: dict[str, set[str]]) -> list[str]:
    """The nodes of a circle in a graph, the first again at its end; empty where there is none."""
    done: set[str] = set()

    def from_(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        for other in sorted(edges.get(node, ())):
            if closed := from_(other, [*way, node]):
                return closed
        done.add(node)
        return []

    return next((closed for node in sorted(edges) if (closed := from_(node, []))), [])


def room_of(module: str) -> str:
    """'models.cut' of models.cut.graph, 'models.metrics' of a module that lies in models/ itself."""
    return ".".join(module.split(".")[:2])


def is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("path", files(*EVERYWHERE), ids=str)
def test_a_file_has_a_subject_and_is_short(path: Path) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(tree_of(path)), f"{path}: say in a docstring what it holds"


def test_no_folder_has_more_modules_than_a_reader_takes_in() -> None:
    counts: dict[str, int] = {}
    for path in files(*EVERYWHERE):
        counts[str(path.parent)] = counts.get(str(path.parent), 0) + 1
    assert not {folder: count for folder, count in counts.items() if count > MAX_MODULES}


def test_every_package_has_its_init() -> None:
    assert not [path for path in files(*OURS) if not (ROOT / path.parent / "__init__.py").exists()]


def test_no_two_modules_import_each_other() -> None:
    assert not circle({module: imports(module) & MODULES.keys() - {module} for module in MODULES})


def test_no_two_modules_import_each_other_by_imports_in_functions_either() -> None:
    assert not circle({module: imports(module, anywhere=True) & MODULES.keys() - {module} for module in MODULES})


def test_rooms_of_models_import_downwards() -> None:
    rooms: dict[str, set[str]] = {}
    for module in (name for name in MODULES if name.startswith("models.")):
        others = {room_of(name) for name in imports(module, anywhere=True) if name.startswith("models.")}
        rooms.setdefault(room_of(module), set()).update(others - {room_of(module)})
    assert not circle(rooms)


@pytest.mark.parametrize("module", [name for name in MODULES if any(is_in(name, room) for room in ONLY)])
def test_a_light_room_imports_what_it_may(module: str) -> None:
    room = next(room for room in ONLY if is_in(module, room))
    allowed = ONLY[room] | ALSO.get(module, set())
    names = {name for name in imports(module, anywhere=True) if name.split(".")[0] not in sys.stdlib_module_names}
    assert not [name for name in sorted(names) if not any(is_in(name, each) for each in allowed)]


def families() -> list[str]:
    """The rooms of models/segmenters, one a segmenter or a few alike."""
    return sorted(path.name for path in (ROOT / "models" / "segmenters").iterdir() if (path / "config.py").exists())


@pytest.mark.parametrize("family", families())
def test_no_segmenter_imports_another(family: str) -> None:
    others = {f"models.segmenters.{other}" for other in families() if other != family} | {"models.segmenters.registry"}
    for module in (name for name in MODULES if is_in(name, f"models.segmenters.{family}")):
        assert not [name for name in imports(module, anywhere=True) if any(is_in(name, other) for other in others)]


def test_what_segmenters_share_names_none_of_them() -> None:
    rooms = [f"models.segmenters.{family}" for family in families()]
    shared = [m for m in MODULES if is_in(m, "models.segmenters") and not any(is_in(m, room) for room in rooms)]
    for module in shared:
        if module != "models.segmenters.registry":  # which names them all
            assert not [name for name in imports(module, anywhere=True) if any(is_in(name, room) for room in rooms)]


def test_configurations_and_names_load_nothing_heavy() -> None:
    """In an interpreter of their own, so that what their imports import counts too."""
    light = [m for m in MODULES if is_in(m, "models.config") or is_in(m, "models.classes") or m == "models.errors"]
    light += [m for m in MODULES if m.startswith("models.segmenters.") and m.endswith(".config")]
    script = "import sys\n" + "".join(f"import {m}\n" for m in light) + "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())
