"""A builder that only buys prompts: what the flow does with a plan, without Prefect.

As a script it is a builder to be killed: `buyer.py PATH BACKBONE URL`.
"""

import sys
from pathlib import Path

from models.backbone.facts import check_backbone
from models.config.build import BuildConfig
from models.prompts.grammar import Grammar
from storage.dataset.prompt_store import lacking
from storage.dataset.writer import DatasetWriter
from tasks.prompts import buy_prompts, plan_samples


def config_of(backbone: object, url: str, **more: object) -> BuildConfig:
    """Two classes of three prompts each, two prompts a request: four requests where all can be used."""
    prompts = {"source": "llm", "model": "m", "base_url": url, "per_class": 3, "per_request": 2, "timeout": 0.5}
    values = {"backbone": str(backbone), "classes": ["cat", "red dog"], "count": 8, "seed": 7, "shard_size": 4}
    settings = prompts | {"max_answer": 200, "attempts": 2} | more.pop("prompts", {})
    return BuildConfig.model_validate(values | {"screen": {"clip": "none"}, "prompts": settings} | more)


def open_writer(path: Path, config: BuildConfig) -> DatasetWriter:
    stored = config.model_dump(mode="json", by_alias=True)
    return DatasetWriter.open(path, stored, config.identity(), (16, 16), (2, 2), config.shard_size, config.count)


def buy(path: Path, config: BuildConfig) -> None:
    """Buy what is lacking and plan all samples."""
    facts, grammar = check_backbone(config.backbone), Grammar.of(config, None)
    with open_writer(path, config) as writer:
        for category, number in lacking(writer.prompt_store("prompts"), grammar.prompts_needed(config.count)).items():
            buy_prompts.fn(writer, config.prompts, grammar, facts, category, number)
        if unplanned := writer.pending("plan"):
            fork = plan_samples.fn(writer.fork(), unplanned, config.shard_size, grammar, facts, bought=True)
            writer.commit(fork, "Plan samples")


if __name__ == "__main__":
    buy(Path(sys.argv[1]), config_of(sys.argv[2], sys.argv[3]))
