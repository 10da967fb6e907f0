"""The report on a dataset: a folder that opens by its index.html with no network, and a short form for an artifact.

Knows nothing of how samples were made. Everything that a user, a config or a language model wrote (classes, prompts,
reasons) is escaped by the template or, in markdown, by `escape`.
"""

import base64
import html
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from analysis import figures
from analysis.statistics import summarise

if TYPE_CHECKING:
    from storage.dataset import Dataset

GALLERY = 400  # cards in the gallery; a larger dataset is shown by a spread of each status and reason
SIDE = 256  # longest side of a tile in the gallery, pixels
MARKDOWN_LIMIT = 100_000  # bytes: an artifact lies in Prefect's database
DRAWN = ("kept", "rejected", "failed", "cut")  # statuses that have a mask to show
HISTOGRAMS = {
    "area": "object size (share of the image)",
    "clip_score": "CLIP score (confidence of the class)",
    "uncertainty": "uncertainty of the mask",
}


def write_report(dataset: "Dataset", folder: Path | str, gallery: int = GALLERY) -> Path:
    """Write the report into `folder`, in place of an earlier one, and return the path of its index.html.

    Written beside it under a temporary name and renamed, so that a reader never meets half a report.
    """
    folder = Path(folder).absolute()
    if folder.exists() and any(folder.iterdir()) and not (folder / "index.html").exists():
        raise ValueError(f"{folder} holds something that is no report; name another folder or empty it")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "samples").mkdir(parents=True)
    frame = dataset.frame()
    for name, label in HISTOGRAMS.items():
        (partial / f"{name}.svg").write_bytes(figures.histogram(_by_status(frame, name), label))
    shown = choose(frame, gallery)
    cards = list(_cards(dataset, shown, partial / "samples"))
    (partial / "index.html").write_text(_page(dataset, frame, cards), encoding="utf-8")
    replace(folder, partial)
    return folder / "index.html"


def choose(frame: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most `limit` of the rows that have something to show, in order, with no status or reason left out.

    A group smaller than an equal share is shown whole; the rest goes to the larger ones, evenly spread over the index.
    """
    drawn = frame[frame["status"].isin(DRAWN)]
    if len(drawn) <= limit:
        return drawn
    groups = sorted((rows for _, rows in drawn.groupby(["status", "reason"], dropna=False)), key=len)[:limit]
    chosen: list[pd.DataFrame] = []
    left = limit
    for i, rows in enumerate(groups):
        take = min(len(rows), left // (len(groups) - i))
        chosen.append(rows.iloc[np.linspace(0, len(rows) - 1, take).round().astype(int)])
        left -= take
    return pd.concat(chosen).sort_index()


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


def _by_status(frame: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    return {name: frame.loc[frame["status"] == name, column].to_numpy(dtype=float) for name in ("kept", "rejected")}


def _cards(dataset: "Dataset", shown: pd.DataFrame, folder: Path) -> Iterator[dict[str, Any]]:
    """Draw each sample's strip into `folder` and yield what its card says."""
    for index, row in zip(shown.index.tolist(), shown.to_dict("records"), strict=True):
        sample = dataset[index]
        picture = figures.strip(sample.image, sample.mask, np.asarray(dataset.group["class_map"][index]), SIDE)
        name = f"{index:06d}.webp"
        (folder / name).write_bytes(figures.encode(picture, "WEBP"))
        yield {
            "index": index,
            "file": f"{folder.name}/{name}",
            "width": picture.shape[1],
            "height": picture.shape[0],
            "status": str(row["status"]),
            "reason": str(row["reason"] or ""),
            "category": str(row["category"]),
            "prompt": str(row["prompt"]),
            "seed": int(row["seed"]),
            **{key: float(row[key]) if np.isfinite(row[key]) else None for key in HISTOGRAMS},
        }


def _page(dataset: "Dataset", frame: pd.DataFrame, cards: list[dict[str, Any]]) -> str:
    config = dict(dataset.config)
    return template("report.html.j2").render(
        name=Path(dataset.path).name,
        version=dataset.version,
        config=config,
        config_text=json.dumps(config, indent=2, ensure_ascii=False),
        image_size=dataset.image_size,
        summary=summarise(frame),
        histograms=HISTOGRAMS,
        colours=figures.COLOURS,
        cards=cards,
    )


def template(name: str) -> Template:
    """A page's template; what it is given is escaped, and a name it is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
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
