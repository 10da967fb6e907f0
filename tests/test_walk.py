"""A stranger's walk: how many rooms meet a build's configuration, and how often following it leads back up.

Read from the sources' syntax trees, from the command line's `build` on. A *carrier* is a BuildConfig, or an object of a
class with a field that is one, such as a checked Plan. Every call of a function or class of ours that is handed a
carrier, as any argument, is followed: depth first, in the order of the source, into each function once; calls by which
one is made are not (BuildConfig's and Plan's own), nor its methods, and a task's `.submit(...)` is a call of the task.
Sections and single values that a function is handed in its place are what it uses, and end the walk.

A *room* is a package folder: maskmill, flows, flows/checks, tasks, models/prompts ... A *climb* is a step of the walk,
from the room of one call to that of the next, that leads to a room on a higher floor.
"""

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("models/config", "models", "storage", "analysis", "tasks", "flows/checks", "flows", "maskmill")  # upwards
START, CONFIG = ("maskmill.commands.datasets", "build"), ("models.config.build", "BuildConfig")

Name = tuple[str, str]  # module, function or class


@dataclass
class Sources:
    """All modules of ours: their functions and classes, and what each name in them stands for."""

    defined: dict[Name, ast.FunctionDef | ast.ClassDef] = field(default_factory=dict)
    imported: dict[Name, str] = field(default_factory=dict)  # (module, name in it) -> dotted name elsewhere
    carriers: set[Name] = field(default_factory=lambda: {CONFIG})

    def __post_init__(self) -> None:
        for path in [
            path for floor in {each.split("/")[0] for each in FLOORS} for path in (ROOT / floor).rglob("*.py")
        ]:
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    self.defined.setdefault((module, node.name), node)
                elif isinstance(node, ast.ImportFrom):
                    self.imported |= {(module, a.asname or a.name): f"{node.module}.{a.name}" for a in node.names}
        while found := {name for name in self.defined.keys() - self.carriers if self.fields(name)}:
            self.carriers |= found

    def named(self, module: str, node: ast.expr | None) -> Name | None:
        """What an expression names: `check_target`, `target.check_target`, `build.with_options(...)`, `Grammar.of`."""
        if isinstance(node, ast.Call):
            return self.named(module, node.func)
        if isinstance(node, ast.Attribute) and (owner := self.named(module, node.value)):
            return owner  # of a class its constructor, as in Grammar.of; of a task, as in cut_shard.submit
        if not isinstance(node, ast.Name | ast.Attribute):
            return None
        first, *rest = ast.unparse(node).split(".")
        dotted = ".".join([self.imported.get((module, first), f"{module}.{first}"), *rest])
        name = (dotted.rpartition(".")[0], dotted.rpartition(".")[2])
        return name if name in self.defined else None

    def annotated(self, module: str, annotation: ast.expr | None) -> Name | None:
        """The carrier that an annotation has in it."""
        names = (self.named(module, node) for node in ast.walk(annotation or ast.Constant(None)) if _is_name(node))
        return next((name for name in names if name in self.carriers), None)

    def fields(self, name: Name) -> dict[str, Name]:
        """Fields of a class that are carriers."""
        body = self.defined[name].body if isinstance(self.defined[name], ast.ClassDef) else []
        annotated = {node.target: node.annotation for node in body if isinstance(node, ast.AnnAssign)}
        kinds = {ast.unparse(target): self.annotated(name[0], kind) for target, kind in annotated.items()}
        return {each: kind for each, kind in kinds.items() if kind}

    def carried(self, module: str, node: ast.expr, known: dict[str, Name]) -> Name | None:
        """The carrier that an expression is, where the local names `known` are ones."""
        if isinstance(node, ast.Name):
            return known.get(node.id)
        if isinstance(node, ast.Attribute):
            kind = self.carried(module, node.value, known)
            return self.fields(kind).get(node.attr) if kind else None
        if not isinstance(node, ast.Call):
            return None
        if isinstance(node.func, ast.Attribute) and node.func.attr == "model_copy":
            return self.carried(module, node.func.value, known)
        if isinstance(node.func, ast.Attribute) and self.annotated(module, node.func.value):  # BuildConfig.of_stored
            return self.annotated(module, node.func.value)
        if ast.unparse(node.func) == "resolve":  # the command line's: of the class that it is given
            return self.annotated(module, node.args[0])
        callee = self.named(module, node.func)
        if callee is None or callee in self.carriers:
            return callee
        return self.annotated(callee[0], getattr(self.defined[callee], "returns", None))

    def walk(self, name: Name, seen: set[Name]) -> Iterator[Name]:
        """Every call of the walk from a function on, by what is called."""
        module, seen_here = name[0], name in seen
        seen.add(name)
        body = self.defined[name]
        for function in [] if seen_here else [body] if isinstance(body, ast.FunctionDef) else _constructors(body):
            arguments = [*function.args.args, *function.args.kwonlyargs]
            kinds = {each.arg: self.annotated(module, each.annotation) for each in arguments}
            known = {each: kind for each, kind in kinds.items() if kind}
            for node in (inner for statement in function.body for inner in _in_order(statement)):
                if isinstance(node, ast.Assign) and (kind := self.carried(module, node.value, known)):
                    known |= {ast.unparse(target): kind for target in node.targets}
                if isinstance(node, ast.Call):
                    values = [*node.args, *(keyword.value for keyword in node.keywords)]
                    callee = self.named(module, node.func)
                    handed = any(self.carried(module, value, known) for value in values)
                    if handed and callee and callee not in self.carriers:
                        yield callee
                        yield from self.walk(callee, seen)


def _is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name | ast.Attribute)


def _constructors(node: ast.ClassDef) -> list[ast.FunctionDef]:
    makers = ("__init__", "__post_init__", "of", "open")
    return [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name in makers]


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """A statement's nodes as they are evaluated: arguments before the call that takes them."""
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)
    yield node


def room(module: str) -> str:
    """The folder that a module lies in."""
    path = Path(*module.split("."))
    return path.as_posix() if (ROOT / path).is_dir() else path.parent.as_posix()


def floor(place: str) -> int:
    """The floor of a room, counted upwards."""
    return max((place == name or place.startswith(f"{name}/"), len(name), i) for i, name in enumerate(FLOORS))[2]


def test_a_builds_config_meets_few_rooms_and_seldom_leads_back_up() -> None:
    """At fc9895f by the same count: 4 rooms of 10 modules, 34 calls, 7 climbs; now 5 rooms, 15 calls, 3 climbs."""
    sources = Sources()
    steps = [room(module) for module, _ in (START, *sources.walk(START, set()))]
    climbs = [(a, b) for a, b in itertools.pairwise(steps) if floor(b) > floor(a)]
    assert {"flows", "flows/checks", "tasks", "models/prompts"} <= set(steps)  # it is followed at all
    assert len(set(steps)) <= 12 and len(climbs) <= 5, (sorted(set(steps)), climbs)


def test_tasks_are_handed_a_backbones_facts() -> None:
    """They are read once, by what is checked before a flow, and no task looks a backbone up again by its name."""
    reading = [path.name for path in (ROOT / "tasks").rglob("*.py") if "check_backbone" in path.read_text()]
    assert not reading and "check_backbone" not in (ROOT / "flows" / "build.py").read_text()
