"""The report on a dataset: a folder that opens by its index.html with no network, and a short form for an artifact.

Knows nothing of how samples were made. Everything that a user, a config or a language model wrote (classes, prompts,
reasons) is escaped by the template, in the page's data by `script`, and in markdown by `escape`.
"""

import base64
import hashlib
import html
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.utils import htmlsafe_json_dumps

from analysis import figures, gallery
from analysis.statistics import summarise

if TYPE_CHECKING:
    from storage.dataset import Dataset

TEMPLATES = Path(__file__).parent / "templates"
MARKDOWN_LIMIT = 100_000  # bytes: an artifact lies in Prefect's database


def write_report(dataset: "Dataset", folder: Path | str) -> Path:
    """Write the report into `folder`, in place of an earlier one, and return the path of its index.html.

    Written beside it under a temporary name and renamed, so that a reader never meets half a report.
    """
    folder = Path(folder).absolute()
    if folder.exists() and any(folder.iterdir()) and not (folder / "index.html").exists():
        raise ValueError(f"{folder} holds something that is no report; name another folder or empty it")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    frame = dataset.frame()
    gallery.draw_samples(dataset, frame, partial)
    for name in ("report.css", "report.js"):
        shutil.copyfile(TEMPLATES / name, partial / name)
    height, width = dataset.image_size
    known = {"height": height, "width": width, "tiles": gallery.tile_names(dataset)}
    provenance = {"provenance": list(provenance_of(dataset).items())}
    (partial / "samples.js").write_text(script("SAMPLES", known | provenance | gallery.samples_data(frame)))
    (partial / "index.html").write_text(_page(dataset, frame), encoding="utf-8")
    replace(folder, partial)
    return folder / "index.html"


def script(name: str, value: Any) -> str:
    """A JSON-able value as a script that sets it; ASCII, and harmless in a page too: <, > and & are codes in it."""
    return f"window.{name} = {htmlsafe_json_dumps(value, allow_nan=False, separators=(',', ':'))};\n"


def provenance_of(dataset: "Dataset") -> dict[str, str]:
    """What all samples of a version have in common: what made them, and from which configuration."""
    config = dict(dataset.config)
    return {
        "version": dataset.version,
        "backbone": str(config.get("backbone", "unknown")),
        "dataset seed": str(config.get("seed", "unknown")),
        "maskmill": dataset.maskmill_version,
        "config digest": config_digest(config),
    }


def config_digest(config: dict[str, Any]) -> str:
    """Tells one configuration from another, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def thumbnails_markdown(dataset: "Dataset", count: int = 8) -> str:
    """Counts, reasons and a picture of `count` kept samples, as markdown under 100 kB with the picture inside."""
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


def escape(text: object) -> str:
    """Text of unknown origin as harmless markdown on one line, at most 120 characters of it."""
    plain = html.escape(" ".join(str(text).split())[:120])
    return "".join(f"&#{ord(c)};" if c in "|[]()!*_`\\" else c for c in plain)


def _small_sheet(dataset: "Dataset", chosen: list[int]) -> str:
    """Base64 of the largest contact sheet that leaves room for the table."""
    for side in (128, 96, 64, 48, 32):
        text = base64.b64encode(figures.encode(figures.sheet(dataset, chosen, side), "JPEG", quality=80)).decode()
        if len(text) < 0.8 * MARKDOWN_LIMIT:
            return text
    raise ValueError(f"{len(chosen)} thumbnails do not fit into {MARKDOWN_LIMIT} bytes; ask for fewer")


def _page(dataset: "Dataset", frame: pd.DataFrame) -> str:
    return template("report.html.j2").render(
        name=Path(dataset.path).name,
        version=dataset.version,
        config_text=json.dumps(dict(dataset.config), indent=2, ensure_ascii=False),
        provenance={name: text for name, text in provenance_of(dataset).items() if name != "version"},
        image_size=dataset.image_size,
        summary=summarise(frame),
        colours=figures.COLOURS,
    )


def template(name: str) -> Template:
    """A page's template; what it is given is escaped, and a name it is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def replace(folder: Path, partial: Path) -> None:
    """Put the finished `partial` in the place of `folder`."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
