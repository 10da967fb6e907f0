"""The site is whole: it builds strictly, asks nothing of the network, and names only what there is."""

import ast
import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
OURS = {"analysis", "benchmarks", "flows", "models", "storage", "tasks"}
TABLES = {"diffdis.md": "models/segmenters/diffdis", "sod-diffusion.md": "models/segmenters/sod_diffusion"}
FETCHING = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href"), ("use", "href")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it; a link that leads nowhere, or a page outside the nav, fails it."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "links leave the site, and are not checked" in done.stderr
    return out


class Fetched(HTMLParser):
    """What a browser loads for a page, without a click."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.urls += [value for name, value in attrs if (tag, name) in FETCHING and value]


def test_no_request_leaves_the_readers_machine(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = Fetched()
        fetched.feed(page.read_text())
        assert fetched.urls and not [url for url in fetched.urls if re.match(r"(https?:)?//", url)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?https?:|@import", sheet.read_text()), sheet


def test_generated_parts_are_filled_in(site: Path) -> None:
    assert not [page for page in site.rglob("*.html") if "{{" in page.read_text()]
    assert "affinity_scale" in (site / "reference" / "configuration.html").read_text()
    assert "--dry-run" in (site / "reference" / "commands.html").read_text()
    assert "Open a dataset: its latest published version" in (site / "reference" / "python.html").read_text()


def named(text: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, text))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_page_names_are_there(path: Path) -> None:
    if path.name in ("house.md", "extending.md", "CHANGELOG.md"):
        return  # these name what was, or what a reader will write
    files = named(path.read_text(), rf"`((?:{'|'.join(OURS | {'tests', 'configs', 'docs'})})/[\w./-]+\.\w+)`")
    assert not [file for file in files if not (ROOT / file).exists()]


def test_pages_that_the_code_names_are_there() -> None:
    sources = [path for name in OURS | {"maskmill", "configs"} for path in (ROOT / name).rglob("*") if path.is_file()]
    sources = [path for path in sources if path.suffix in (".py", ".yaml", ".j2", ".ipynb")]
    pages = {page for path in sources for page in named(path.read_text(), r"\bdocs/[\w/-]+\.md\b")}
    assert pages and not [page for page in pages if not (ROOT / page).exists()]


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_statements_name_code_that_there_is(name: str) -> None:
    """Of each row of "what is where": its files, and each name in one of them."""
    folder = ROOT / TABLES[name]
    lines = (ROOT / "docs" / name).read_text().split("## What is where")[1].split("\n## ")[0].splitlines()
    rows = [line.rsplit(" | ", 1)[1] for line in lines if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) >= 15
    for row in rows:
        words = re.findall(r"`([\w./]+)`", row)
        files = [folder / word if "/" not in word else ROOT / word for word in words if word.endswith(".py")]
        text = "\n".join(file.read_text() for file in [*files, *folder.glob("*.py")])
        for word in words:
            if not word.endswith(".py"):
                assert re.search(rf"\b{word.rsplit('.', 1)[-1]}\b", text), (row, word)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_python_blocks_are_there(path: Path) -> None:
    if path.name in ("house.md", "extending.md", "README.md"):
        return
    for block in re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_benchmarks_page_is_where_bench_writes_it() -> None:
    assert (ROOT / "docs" / "benchmarks.md").read_text().startswith("# Benchmarks\n")
    assert {path.suffix for path in (ROOT / "docs" / "benchmarks").iterdir()} == {".json"}
