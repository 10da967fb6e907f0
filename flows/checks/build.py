"""Checks before a build writes anything, and the lines of a dry run. Importing it imports no torch."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.checks.prompts import check_purchase, describe_prompts, with_author
from flows.checks.trial import describe_trial
from models.backbone.facts import check_backbone
from models.backbone.load import fetch_weights, weight_bytes
from models.backbone.protocol import BackboneFacts
from models.backbone.tokens import category_span, load_tokenizer
from models.config.backbone import is_pocket
from models.config.build import BuildConfig
from models.config.cut import CutConfig
from models.config.run import RunConfig
from models.config.sampling import SamplingConfig
from models.cut.seeds import seed_cells
from models.errors import UserError
from models.hardware import resolve_device
from models.prompts.grammar import Grammar, check_classes
from storage.dataset import target
from storage.dataset.reader import Dataset, open_dataset
from storage.dataset.repository import is_dataset
from storage.dataset.schema import array_specs
from storage.dataset.target import check_target
from storage.dataset.writer import DatasetWriter
from storage.text import steps_line

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A checked build: its config, output folder, backbone, prompt grammar, and image and grid sizes."""

    config: BuildConfig
    out: Path
    facts: BackboneFacts
    grammar: Grammar
    image_size: tuple[int, int]
    grid: tuple[int, int]

    @property
    def pooled(self) -> tuple[int, int] | None:
        """Numbers of seed cells and of cross-attention layers whose attention is stored; None if it is not kept."""
        return (len(seed_cells(*self.grid)), self.facts.num_cross) if self.config.sampling.keep_pooled else None


def preflight(config: BuildConfig, out: Path) -> Plan:
    """The plan of a build; UserError if the build is not possible. Writes nothing."""
    begun = open_dataset(out, "build") if is_dataset(out) else None
    changes = {"prompts": with_author(config.prompts, out), "cut": _begun_cut(config.cut, begun)}
    config, revision = _pinned(config.model_copy(update=changes), begun)
    check_target(out, config.identity(), config.count)
    facts = check_backbone(config.backbone, revision, config.lora)
    _refuse_other_loras(facts, begun)
    grammar = Grammar.of(config, facts.taught)
    check_classes(grammar, facts, config.screen.clip)
    image_size, latent = facts.sizes(config.sampling.height, config.sampling.width)
    check_schedule(config.sampling, facts)
    tokenizer = load_tokenizer(facts.folder)
    for category in config.classes:
        for prompt, phrase in grammar.farthest_prompts(category):
            category_span(tokenizer, prompt, phrase)
    check_machine(config.run, config.screen.clip)  # late, since it may load torch
    check_purchase(config.prompts, grammar, config.count, out)
    return Plan(config, out, facts, grammar, image_size, facts.attention_grid(latent))


def check_schedule(sampling: SamplingConfig, facts: BackboneFacts) -> None:
    """UserError if the backbone's scheduler does not allow the configured one; imports torch only if necessary."""
    if (sampling.scheduler, sampling.spacing) != ("ddim", None) or facts.scheduler.get("rescale_betas_zero_snr"):
        from models.backbone.schedulers.steppers import check_sampling

        check_sampling(facts, sampling)


def _pinned(config: BuildConfig, begun: Dataset | None) -> tuple[BuildConfig, str | None]:
    """The config, and the revision of its backbone: the commit that the begun dataset has images of, if it has one.

    Neither a resumed build nor an extension takes a newer commit; that commit itself may be named too.
    """
    if begun is None or begun.backbone_commit is None:
        return config, config.revision
    if config.revision in (None, begun.backbone_commit):
        config = config.model_copy(update={"revision": begun.config.get("revision")})
    return config, begun.backbone_commit


def _refuse_other_loras(facts: BackboneFacts, begun: Dataset | None) -> None:
    """UserError if a LoRA's file is another than the one that the dataset was begun with."""
    if begun is None:
        return
    for lora, stored in zip(facts.lora, begun.loras, strict=False):
        if lora.sha256 != stored["sha256"]:
            raise UserError(
                f"lora {lora.given}: {begun.path} was begun with a file of sha256 {stored['sha256'][:16]}..., this one "
                f"has {lora.sha256[:16]}...; bring that one back, or build another dataset"
            )


def _begun_cut(cut: CutConfig, begun: Dataset | None) -> CutConfig:
    """The cut, which resumes a dataset from before adaptive thresholds with the paper's unless it names its own."""
    if begun is None:
        return cut
    resumed = cut.as_begun(begun.config.get("cut", {}))
    if resumed is not cut:
        logger.warning("maskmill: %s was begun with the paper's thresholds, and resumes with them", begun.path)
    return resumed


def check_machine(run: RunConfig, clip: str, field: str = "screen.clip") -> None:
    """UserError if the device or the CLIP model does not exist; fetches nothing, imports torch only if necessary."""
    if run.device.startswith("cuda"):
        resolve_device(run.device)
    if clip != "none" and not is_pocket(clip):
        from models.clip.model import check_clip

        check_clip(clip, field)


def fetch_networks(plan: Plan) -> None:
    """Fetch the weights that a build lacks, before it writes anything; UserError if they cannot be had."""
    fetch_weights(plan.facts, plan.config.run.device, plan.config.run.dtype)
    load_screening(plan.config.screen.clip)


def load_screening(clip: str) -> None:
    """Load screening's CLIP, and fetch it if necessary, so that a build does not fail after hours of sampling.

    UserError if it cannot be loaded. It is loaded on the CPU, since sampling needs the GPU's memory first.
    """
    if clip != "none":
        from models.clip.model import load_clip

        load_clip(clip, "cpu")


def open_writer(plan: Plan) -> DatasetWriter:
    """The dataset of a checked plan, created or opened for writing."""
    config = plan.config
    stored = config.model_dump(mode="json", by_alias=True)
    sizes = (plan.image_size, plan.grid, config.shard_size, config.count, plan.pooled)
    return DatasetWriter.open(plan.out, stored, config.identity(), *sizes, provenance=provenance_of(plan.facts))


def provenance_of(facts: BackboneFacts) -> dict[str, Any]:
    """What a dataset keeps of its backbone besides its name: the hub's commit and the LoRAs, where there are any."""
    commit = {} if facts.commit is None else {"backbone_commit": facts.commit}
    return commit | ({"lora": [lora.facts() for lora in facts.lora]} if facts.lora else {})


def describe(plan: Plan) -> list[str]:
    """The lines of a dry run: the planned samples, and upper bounds of disk and memory."""
    config, facts = plan.config, plan.facts
    steps = steps_line(config.sampling.model_dump()) or f"{config.sampling.steps} steps"
    return [
        f"backbone    {config.backbone}: images {plan.image_size[0]}x{plan.image_size[1]}, "
        f"attention grid {plan.grid[0]}x{plan.grid[1]}, {facts.prediction_type}",
        *(f"lora        {lora.file.name} at weight {lora.weight:g}, {len(lora.pairs)} layers" for lora in facts.lora),
        f"samples     {config.count} of {len(config.classes)} classes in {-(-config.count // config.shard_size)} "
        f"shards of {config.shard_size}, {steps} each, guidance {config.sampling.guidance:g}",
        *describe_trial(config, plan.out),
        *_few_steps(plan),
        f"first       {plan_line(plan, 0)}",
        f"prompts     {describe_prompts(config.prompts, plan.grammar, config.count, plan.out)}",
        f"disk        {_disk(plan)}",
        f"memory      {_memory(plan)}",
        f"dataset     {plan.out}",
    ]


def _few_steps(plan: Plan) -> list[str]:
    """A line for backbones distilled to few steps, whose levels the paper's DDIM does not begin at."""
    sampling, own = plan.config.sampling, plan.facts.scheduler.get("timestep_spacing")
    if own != "trailing" or (sampling.scheduler, sampling.spacing) != ("ddim", None):
        return []
    return [
        "steps       the backbone has trailing steps, as models made for 1 to 8 have; --set sampling.spacing=trailing"
    ]


def in_units(size: int) -> str:
    """A number of bytes to three digits, as in '18.1 MB'."""
    power = min(4, (len(str(size)) - 1) // 3)
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def plan_line(plan: Plan, index: int) -> str:
    """A sample's class and prompt."""
    sample = plan.grammar.plan(index)
    return f"[{sample.category}]" + ("" if plan.config.prompts.source == "llm" else f" {sample.prompt}")


def _disk(plan: Plan) -> str:
    """The uncompressed size of the arrays, an upper bound of the disk."""
    specs = array_specs(plan.image_size, plan.grid, plan.pooled)
    per_sample = sum(spec.bytes_per_sample for spec in specs.values())
    kept = sum(specs[name].bytes_per_sample for name in ("pooled", "layer_maps") if name in specs)
    text = f"at most {in_units(plan.config.count * per_sample)}, {in_units(per_sample)} per sample"
    return text + (f", including {in_units(kept)} of attention kept for recuts" if kept else "")


def _memory(plan: Plan) -> str:
    """Memory of the weights, and of a batch's attention: per cell, nine neighbours and the seed cells, or all cells."""
    weights = weight_bytes(plan.facts, plan.config.run.device, plan.config.run.dtype)
    cells = plan.grid[0] * plan.grid[1]
    keys = cells if plan.config.sampling.capture == "full" else len(seed_cells(*plan.grid)) + 9
    attention = plan.config.run.batch_size * cells * keys * 4
    return f"weights {in_units(weights)}, attention of a batch {in_units(attention)}"


def is_finished(plan: Plan) -> bool:
    """Whether the dataset of a checked plan is built and published and has its report."""
    return target.is_finished(plan.out, plan.config.count) and (plan.out / "report" / "index.html").exists()
