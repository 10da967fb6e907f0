"""Two files beside the data in every format: the config that builds it, and the dataset card.

Classes, prompts and names are untrusted text: quoted in YAML, escaped in markdown.
"""

import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from storage.exports.formats.base import Format
from storage.exports.plan import Plan
from storage.exports.tables import CSV, PARQUET
from storage.text import escape, steps_line

CONFIG, CARD = "config.yaml", "README.md"
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def write_config(folder: Path, plan: Plan) -> None:
    """Write config.yaml, which `maskmill build --config` reads."""
    text = yaml.safe_dump(plan.config, allow_unicode=True, sort_keys=False)
    (folder / CONFIG).write_text(text, encoding="utf-8")


def write_card(folder: Path, plan: Plan, form: Format, counts: Counter[str], measured: dict[str, float]) -> None:
    """Write README.md: content, layout, loading and origin of the data; its head is for the Hugging Face hub."""
    head = yaml.safe_dump(_head(plan, form), allow_unicode=True, sort_keys=False)
    notes = [f"- {count} {what}" for what, count in counts.items() if count]
    notes += [f"- {value:.3f} {what}" for what, value in measured.items()]
    body = "\n".join(_body(plan, form, notes))
    (folder / CARD).write_text(f"---\n{head}---\n\n{body}\n", encoding="utf-8")


def _head(plan: Plan, form: Format) -> dict[str, Any]:
    head: dict[str, Any] = {
        "pretty_name": " ".join(plan.name.split()),
        "task_categories": ["image-segmentation"],
        "tags": ["synthetic", "maskmill"],
        "size_categories": [next((name for limit, name in SIZES if len(plan) < limit), "n>10M")],
    }
    if plan.license:
        head |= _license(plan.license)
    if form.hub:
        files = [{"split": name, "path": form.hub.replace("SPLIT", name)} for name in plan.splits]
        head["configs"] = [{"config_name": "default", "data_files": files}]
    return head


def _license(text: str) -> dict[str, str]:
    """The licence in the hub's words, which has SPDX names in small letters, and any other as a name and a link."""
    if re.fullmatch(r"[\w.+-]+", text, flags=re.ASCII):
        return {"license": text.lower()}
    link = {"license_link": text} if text.startswith(("http://", "https://")) else {}
    return {"license": "other", "license_name": text} | link


def _body(plan: Plan, form: Format, notes: list[str]) -> list[str]:
    height, width = plan.image_size
    options = " --masks rle" if plan.masks == "rle" else ""
    options += f" --license {shlex.quote(plan.license)}" if plan.license else ""
    return [
        f"# {escape(plan.name)}",
        "",
        f"{len(plan)} images with the mask of one object each, {width} x {height} pixels. {_drawn(plan)} "
        f"maskmill made images and masks with the text-to-image model "
        f"{escape(plan.config.get('backbone', 'unknown'))}{_details(plan)}{_sampled(plan)} and screened them. "
        f"{_cut(plan)}",
        "",
        "| split | samples |",
        "|---|---|",
        *(f"| {name} | {len(indices)} |" for name, indices in plan.splits.items()),
        "",
        f"{escape(form.title)}: {form.losses}",
        *(["", *notes] if notes else []),
        "",
        "```python",
        form.loading.replace("SPLIT", next(iter(plan.splits))),
        "```",
        "",
        f"`{PARQUET}` has a row for each sample: its index, split, label, class, prompt, seed, scores and box. "
        f"`{CSV}` is the same as text.",
        *(["", f"Licence: {escape(plan.license)}"] if plan.license else []),
        "",
        "## How to build it again",
        "",
        f"With maskmill {escape(plan.maskmill_version)}:",
        "",
        "```",
        f"maskmill build --config {CONFIG} --out dataset",
        f"maskmill export dataset --format {plan.format} --split {plan.split} --seed {plan.seed}{options} --out export",
        "```",
        "",
        f"This is version {escape(plan.version)} of the dataset, exported by maskmill {escape(plan.exported_by)}.",
        "",
        "## Classes",
        "",
        "| label | class |",
        "|---|---|",
        *(f"| {label} | {escape(name)} |" for label, name in enumerate(plan.classes)),
    ]


def _details(plan: Plan) -> str:
    revision, loras = plan.config.get("revision"), plan.config.get("lora", [])
    details = [f"revision {revision}"] if revision else []
    details += [f"with the LoRA {Path(given).name}" for given in loras]
    return f" ({escape(', '.join(details))})" if details else ""


def _sampled(plan: Plan) -> str:
    steps = steps_line(plan.config.get("sampling", {}))
    return f", in {escape(steps)}," if steps else ""


def _cut(plan: Plan) -> str:
    """Which thresholds cut the masks; datasets from before there was a choice have the paper's kind."""
    cut = plan.config.get("cut", {})
    if cut.get("thresholds") == "adaptive":
        return "Thresholds of the cut come from each image's attention (`cut.thresholds: adaptive`, not `paper`)."
    numbers = (f"{name} {escape(str(cut[name]))}" for name in ("tau", "alpha") if name in cut)
    return f"Thresholds of the cut are the same for every image ({', '.join(numbers) or 'the defaults'})."


def _drawn(plan: Plan) -> str:
    return f"A person mended {plan.mended} of the masks;" if plan.mended else "No person drew the masks:"
