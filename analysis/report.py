"""The report on a dataset: a folder whose index.html needs no network, and a short form for an artifact.

Knows nothing of how samples were made. Untrusted text (classes, prompts, reasons) is escaped by the template, in the
page's data by `script`, and in markdown by `escape`.
"""

import base64
import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.utils import htmlsafe_json_dumps
from plotly.offline import get_plotlyjs
from tqdm import tqdm

from analysis import figures, gallery, plots
from analysis.changes import Changes, changes, draw_changed
from analysis.prompts import prompt_line
from analysis.statistics import DIVERSITY, sample_statistics, statistics_summary, summarise
from models.errors import UserError
from storage.atomic import replacing_folder
from storage.places import check_place
from storage.text import escape

if TYPE_CHECKING:
    from storage.dataset.reader import Dataset

TEMPLATES = Path(__file__).parent / "templates"
# The paper's Table 2: shape complexity, polygon length and shape diversity.
TABLE_2 = {"complexity": "SC", "polygon_length": "PL", DIVERSITY: "SD"}
PUBLISHED = {"DUTS-TR, as published": (27.1, 2.96, 2.31), "DiffusionSeg's data, as published": (29.9, 2.78, 1.91)}
OF_SIZE = ("empty", "too small", "too large")  # reasons for rejection that depend on the size of a mask
MARKDOWN_LIMIT = 100_000  # bytes, since Prefect's database stores the artifact


def write_report(dataset: "Dataset", folder: Path | str, compare: str | None = None) -> Path:
    """Write the report to `folder`, replacing an earlier one, and return the path of its index.html.

    `compare` names another version of the dataset, to show the changes since. The report is written under a temporary
    name and renamed, so a reader never sees a partial report. UserError if the folder holds other files.
    """
    folder = Path(folder).absolute()
    check_place(folder, "report", option="", is_ours=lambda page: (page / "index.html").exists())
    with replacing_folder(folder) as partial:
        _fill(dataset, partial, compare)
    return folder / "index.html"


def _fill(dataset: "Dataset", folder: Path, compare: str | None) -> None:
    """Write the complete report to an empty folder."""
    frame, measured = dataset.frame(), _measured(dataset)
    scores = measured.drop(columns=["size", "polygon"]).astype(float)  # the table has the size as area
    table = frame.join(scores)
    since = None if compare is None else changes(dataset, compare)
    cards = []
    if since is not None:
        table = table.join(since.columns())
        cards = draw_changed(since, folder / "changes")
    gallery.draw_samples(dataset, frame, folder)
    (folder / "plots.js").write_text(script("PLOTS", plots.plots(table)))
    (folder / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
    for name in ("report.css", "report.js"):
        shutil.copyfile(TEMPLATES / name, folder / name)
    height, width = dataset.image_size
    layout = {"height": height, "width": width, "tiles": gallery.tile_names(dataset)}
    provenance = {"provenance": list(provenance_of(dataset).items())}
    (folder / "samples.js").write_text(script("SAMPLES", layout | provenance | gallery.samples_data(table)))
    (folder / "index.html").write_text(_page(dataset, frame, measured, since, cards), encoding="utf-8")


def script(name: str, value: Any) -> str:
    """A script that sets a variable to a JSON-able value; ASCII, with <, > and & escaped, so it is safe in a page."""
    return f"window.{name} = {htmlsafe_json_dumps(value, allow_nan=False, separators=(',', ':'))};\n"


def provenance_of(dataset: "Dataset") -> dict[str, str]:
    """Facts shared by all samples of a version: the models and the configuration that made them."""
    config = dict(dataset.config)
    return {
        "version": dataset.version,
        "backbone": str(config.get("backbone", "unknown")),
        **({"sampled in": dataset.sampled_in} if dataset.sampled_in else {}),
        "prompts by": prompt_line(dataset),
        "dataset seed": str(config.get("seed", "unknown")),
        "maskmill": dataset.maskmill_version,
        "config digest": dataset.config_digest,
    }


def advice_on(dataset: "Dataset", summary: dict[str, Any]) -> list[str]:
    """Sentences above the report's tabs: the trial's figures, and what to do if most masks have an unlikely size."""
    trial, command = dataset.trial, f"maskmill tune {shlex.quote(str(dataset.path))}"
    lines = [] if trial is None else [f"The first masks: {trial}."]
    reason, count = next(iter(summary["rejected"].items()), ("", 0))
    if trial is not None and not trial.cut_fits:
        lines.append(f"The cut does not fit this backbone. To choose one from these samples, run: {command}")
    elif reason in OF_SIZE and count > 0.5 * summary["planned"]:
        lines.append(
            f"{count} of {summary['planned']} masks are {reason}: the cut, or screen.min_area and screen.max_area, do "
            f"not fit. To choose a cut from these samples, run: {command}"
        )
    return lines


def thumbnails_markdown(dataset: "Dataset", count: int = 8) -> str:
    """Counts, reasons and a picture of `count` kept samples, as markdown under 100 kB with the picture embedded."""
    summary = summarise(dataset.frame())
    lines = [
        f"**{escape(Path(dataset.path).name)}**, version {escape(dataset.version)}: "
        f"{summary['kept']} kept of {summary['planned']} planned, {summary['failed']} failed.",
        "",
        "| rejected because | samples |",
        "|---|---|",
        *(f"| {escape(reason)} | {n} |" for reason, n in list(summary["rejected"].items())[:20]),
        f"| all reasons | {sum(summary['rejected'].values())} |",
    ]
    chosen = figures.showcase(dataset, count)
    if chosen:
        lines += [
            "",
            f"![Image, mask and overlay of kept samples](data:image/jpeg;base64,{_small_sheet(dataset, chosen)})",
        ]
    return "\n".join(lines)


def _small_sheet(dataset: "Dataset", chosen: list[int]) -> str:
    """Base64 of the largest contact sheet that leaves room for the table."""
    for side in (128, 96, 64, 48, 32):
        text = base64.b64encode(figures.encode(figures.sheet(dataset, chosen, side), "JPEG", quality=80)).decode()
        if len(text) < 0.8 * MARKDOWN_LIMIT:
            return text
    raise UserError(f"{len(chosen)} thumbnails do not fit into {MARKDOWN_LIMIT} bytes; ask for fewer")


def _measured(dataset: "Dataset") -> pd.DataFrame:
    """The statistics of the kept samples, with a progress bar."""
    kept = int((dataset.frame()["status"] == "kept").sum())
    with tqdm(total=kept, desc="statistics", unit="img") as bar:
        return sample_statistics(dataset, on_sample=bar.update)


def _table_2(measured: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """The rows of this version and of the published data, as text."""
    means = statistics_summary(measured).reindex(list(TABLE_2))["mean"]
    rows = {"this version": tuple(means)} | PUBLISHED
    return [(name, ["–" if np.isnan(v) else f"{v:.3g}" for v in values]) for name, values in rows.items()]


def _page(
    dataset: "Dataset",
    frame: pd.DataFrame,
    measured: pd.DataFrame,
    since: Changes | None,
    changed: list[dict[str, Any]],
) -> str:
    summary = summarise(frame)
    return template("report.html.j2").render(
        name=Path(dataset.path).name,
        version=dataset.version,
        config_text=json.dumps(dict(dataset.config), indent=2, ensure_ascii=False),
        provenance={name: text for name, text in provenance_of(dataset).items() if name != "version"},
        image_size=dataset.image_size,
        summary=summary,
        advice=advice_on(dataset, summary),
        since=since,
        changed=changed,
        table_2=_table_2(measured),
        table_2_names=list(TABLE_2.values()),
        colours=figures.COLOURS,
    )


def template(name: str) -> Template:
    """A page's template; its values are escaped, and a missing value is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
