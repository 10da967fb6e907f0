"""The notebooks run from their first cell to their last, on a small dataset; what they show, a reader judges."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from benchmarks.rendered import rendered_folder
from flows.build import build
from models.config.build import BuildConfig

NOTEBOOKS = sorted((Path(__file__).parents[2] / "analysis" / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("notebooks") / "demo"
    config = BuildConfig(classes=("ball", "star", "ring"), count=12, sampling={"steps": 8}, screen={"max_area": 0.4})
    build(config, path)
    return path


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_first_cell_to_last(
    notebook: Path, dataset: Path, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKMILL_DATASET", str(dataset))
    monkeypatch.setenv("MASKMILL_REFERENCE", f"folder={rendered_folder(dataset.parent / 'reference', 6, seed=5)}")
    monkeypatch.setenv("PREFECT_API_URL", server_url)
    read = nbformat.read(notebook, as_version=4)
    nbformat.validate(read)
    NotebookClient(
        read, timeout=300, startup_timeout=180, resources={"metadata": {"path": str(notebook.parent)}}
    ).execute()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_with_what_its_cells_gave(notebook: Path) -> None:
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert notebook.stat().st_size < 1_000_000
