"""What is checked before a build writes anything, and what a dry run tells. Importing it imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from flows.checks.prompts import check_purchase, describe_prompts, with_author
from models.backbone.facts import BackboneFacts, check_backbone
from models.backbone.tokens import category_span, load_tokenizer
from models.config.build import BuildConfig
from models.config.run import RunConfig
from models.cut.seeds import seed_cells
from models.hardware import resolve_device
from models.prompts.grammar import check_classes, farthest_prompts, plan
from storage.dataset import target
from storage.dataset.schema import array_specs
from storage.dataset.target import check_target
from storage.dataset.writer import DatasetWriter


@dataclass(frozen=True)
class Plan:
    """A build that may start: its config, where it goes, its backbone, its image and grid sizes."""

    config: BuildConfig
    out: Path
    facts: BackboneFacts
    image_size: tuple[int, int]
    grid: tuple[int, int]

    @property
    def pooled(self) -> tuple[int, int] | None:
        """Seed cells and cross-attention layers whose attention is stored; None where it is not kept."""
        return (len(seed_cells(*self.grid)), self.facts.num_cross) if self.config.sampling.keep_pooled else None


def preflight(config: BuildConfig, out: Path) -> Plan:
    """UserError of one line for anything that would stop the build; writes nothing."""
    config = with_author(config, out)
    check_classes(config)
    facts = check_backbone(config.backbone)
    image_size, grid = facts.sizes(config.sampling.height, config.sampling.width)
    tokenizer = load_tokenizer(facts.folder)
    for category in config.classes:
        for prompt, phrase in farthest_prompts(config, category):
            category_span(tokenizer, prompt, phrase)
    check_target(out, config.identity(), config.count)
    check_machine(config.run, config.screen.clip)
    check_purchase(config, out)
    return Plan(config, out, facts, image_size, grid)


def check_machine(run: RunConfig, clip: str, field: str = "screen.clip") -> None:
    """UserError for a device or a CLIP model that there is not; fetches nothing, imports torch only where it must."""
    if run.device.startswith("cuda"):
        resolve_device(run.device)
    if clip not in ("none", "pocket"):
        from models.clip.model import check_clip

        check_clip(clip, field)


def load_screening(config: BuildConfig) -> None:
    """Load screening's CLIP, fetching it if need be: hours of sampling shall not end for want of it.

    UserError where it cannot be had. On the CPU, for until screening the GPU's memory is sampling's.
    """
    if config.screen.clip != "none":
        from models.clip.model import load_clip

        load_clip(config.screen.clip, "cpu")


def embedding_width(config: BuildConfig) -> int | None:
    """Width of the image embeddings that screening stores; None where it uses no CLIP."""
    if config.screen.clip == "none":
        return None
    from models.clip.model import load_clip

    return load_clip(config.screen.clip, config.run.device).width


def open_writer(plan: Plan) -> DatasetWriter:
    """The dataset of a checked plan, made or opened for writing."""
    config = plan.config
    stored = config.model_dump(mode="json", by_alias=True)
    sizes = (plan.image_size, plan.grid, config.shard_size, config.count, plan.pooled)
    return DatasetWriter.open(plan.out, stored, config.identity(), *sizes)


def describe(plan: Plan) -> list[str]:
    """The lines of a dry run: what would be made, and the disk and memory it takes at most."""
    config, facts = plan.config, plan.facts
    specs = array_specs(plan.image_size, plan.grid, plan.pooled)
    per_sample = sum(spec.bytes_per_sample for spec in specs.values())
    kept = sum(specs[name].bytes_per_sample for name in ("pooled", "layer_maps") if name in specs)
    weights = sum(file.stat().st_size for file in facts.folder.glob("*/*.safetensors"))
    attention = _attention_bytes(config, plan.grid)
    return [
        f"backbone    {config.backbone}: images {plan.image_size[0]}x{plan.image_size[1]}, "
        f"attention grid {plan.grid[0]}x{plan.grid[1]}, {facts.prediction_type}",
        f"samples     {config.count} of {len(config.classes)} classes in {-(-config.count // config.shard_size)} "
        f"shards of {config.shard_size}, {config.sampling.steps} steps each, guidance {config.sampling.guidance:g}",
        f"first       {plan_line(config, 0)}",
        f"prompts     {describe_prompts(config, plan.out)}",
        f"disk        at most {in_units(config.count * per_sample)}, {in_units(per_sample)} a sample"
        + (f", of which {in_units(kept)} are attention kept for recuts" if kept else ""),
        f"memory      weights {in_units(weights)}, attention of a batch {in_units(attention)}",
        f"dataset     {plan.out}",
    ]


def in_units(size: int) -> str:
    """A number of bytes to three digits, as in '18.1 MB'."""
    power = min(4, (len(str(size)) - 1) // 3)
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def plan_line(config: BuildConfig, index: int) -> str:
    """A sample's class and prompt."""
    sample = plan(config, index)
    return f"[{sample.category}]" + ("" if config.prompts.source == "llm" else f" {sample.prompt}")


def _attention_bytes(config: BuildConfig, grid: tuple[int, int]) -> int:
    """Accumulators of one batch: nine neighbours and the seed cells for each cell, or the whole A_s in mode full."""
    cells = grid[0] * grid[1]
    keys = cells if config.sampling.capture == "full" else len(seed_cells(*grid)) + 9
    return config.run.batch_size * cells * keys * 4


def is_finished(plan: Plan) -> bool:
    """Whether the dataset of a checked plan is built, published and reported on."""
    return target.is_finished(plan.out, plan.config.count) and (plan.out / "report" / "index.html").exists()
