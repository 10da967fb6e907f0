"""Plan samples: class, prompt and noise seed of every sample that has none yet."""

import numpy as np

from models.config.build import BuildConfig
from storage.dataset.shards import Fork, read_shard, write_shard
from tasks.base import task


@task(name="plan")
def plan_samples(fork: Fork, shards: list[int], config: BuildConfig) -> Fork:
    """Write the plan of the unplanned samples of `shards`; returns the store fork.

    UserError where a prompt does not name its category within the backbone's context.
    """
    from models.backbone.facts import check_backbone
    from models.backbone.tokens import category_span, load_tokenizer
    from models.prompts.grammar import plan
    from storage.dataset.prompt_store import accepted

    prompt_store = accepted(fork) if config.prompts.source == "llm" else None
    tokenizer = load_tokenizer(check_backbone(config.backbone).folder)
    for shard in shards:
        rows = np.flatnonzero(read_shard(fork, shard, ["prompt"])["prompt"] == "")
        planned = [plan(config, shard * config.shard_size + int(row), prompt_store) for row in rows]
        for sample in planned:
            category_span(tokenizer, sample.prompt, sample.phrase)
        names = ("category", "phrase", "prompt", "prompt_source", "seed")
        columns = {name: [getattr(sample, name) for sample in planned] for name in names}
        write_shard(fork, shard, columns, rows=rows)
    return fork
