"""The build: from class names to a published version of a dataset, and its report.

plan -> sample -> cut -> screen -> rank -> publish -> report. Shard k is cut while shard k + 1 is sampled. Each stage of
a shard is committed when it is done, so a build killed at any moment resumes from its last commit.
"""

from pathlib import Path

from pydantic import BaseModel

from analysis.diversity import diversity_of
from analysis.statistics import summarise
from flows.base import flow
from flows.checks.build import fetch_networks, open_writer, preflight
from flows.runners import cut_runner
from models.clip.embeddings import embedding_width, text_encoder
from models.config.build import BuildConfig
from models.errors import UserError
from models.paths import GivenPath
from storage.dataset.prompt_store import lacking
from storage.dataset.reader import open_dataset
from storage.dataset.shards import Fork
from storage.dataset.writer import DatasetWriter
from tasks.api.progress import sampling_progress
from tasks.base import Result
from tasks.cutting import cut_shard
from tasks.prompts import buy_prompts, plan_samples
from tasks.reporting import write_report
from tasks.sampling import sample_shard
from tasks.screening import rank_samples, screen_shard


class BuildRecord(BaseModel):
    """The result of a build: counts of samples; `rejected` by reason."""

    path: Path
    version: str
    planned: int
    kept: int
    rejected: dict[str, int]
    failed: int
    report: Path


@flow(name="build")
def build(config: BuildConfig, out: GivenPath) -> BuildRecord:
    """Build, resume or extend the dataset at `out`, publish it as a version, and write its report."""
    version = fill.on(cut_runner(config.run))(config, out)
    return record_of(out, version, write_report(out, version))


@flow(name="extend")
def extend(out: GivenPath, by: int) -> BuildRecord:
    """Add `by` samples to the dataset at `out`, under its stored config, and publish the next version."""
    if by < 1:
        raise UserError(f"by: expected 1 or more samples to add, got {by}")
    stored = BuildConfig.of_stored(open_dataset(out, "build").config)
    return build(stored.model_copy(update={"count": stored.count + by}), out)


@flow(name="fill")
def fill(config: BuildConfig, out: GivenPath) -> str:
    """Plan, sample, cut and screen the dataset's missing samples, and publish it; returns the version."""
    plan = preflight(config, out)  # again, for runs that were not started from the command line
    config, facts, grammar, bought = plan.config, plan.facts, plan.grammar, plan.config.prompts.source == "llm"
    fetch_networks(plan)
    with open_writer(plan) as writer:
        if unplanned := writer.pending("plan"):
            needed = grammar.prompts_needed(config.count) if bought else {}
            for category, number in lacking(writer.prompt_store("prompts"), needed).items():
                buy_prompts(writer, config.prompts, grammar, facts, category, number)
            fork = plan_samples(writer.fork(), unplanned, config.shard_size, grammar, facts, bought)
            writer.commit(fork, "Plan samples")
        cuts = [cut_shard.submit(writer.fork(), shard, config.cut) for shard in writer.pending("cut")]
        with sampling_progress(writer.num_with("planned")) as on_step:
            for shard in writer.pending("sample"):
                fork = sample_shard(writer.fork(), shard, facts, config.sampling, config.cut, config.run, on_step)
                writer.commit(fork, f"Sample shard {shard}")
                cuts.append(cut_shard.submit(writer.fork(), shard, config.cut))
                while len(cuts) > 2 * max(1, config.run.workers):
                    writer.commit(cuts.pop(0).result(), "Cut a shard")
        return finish(writer, cuts, config, f"Publish {config.count} samples")


def finish(writer: DatasetWriter, cuts: list[Result[Fork]], config: BuildConfig, message: str) -> str:
    """Commit the running cuts, screen the cut samples, and publish; an unchanged dataset keeps its version.

    Ranking runs once over the whole dataset, when every sample has its scores.
    """
    for cut in cuts:
        writer.commit(cut.result(), "Cut a shard")
    if writer.published:
        return writer.publish(message)
    writer.begin_screening(embedding_width(config.screen.clip, config.run.device), config.screen)
    for shard in writer.pending("screen"):
        writer.commit(screen_shard(writer.fork(), shard, config), f"Screen shard {shard}")
    writer.commit(rank_samples(writer.fork(), config), "Rank the samples")
    frame = open_dataset(writer.path, "build").frame()
    embed = text_encoder(config.screen.clip, config.run.device)
    return writer.publish(message, summarise(frame) | {"prompts": diversity_of(frame, embed)})


def record_of(out: Path, version: str, report: Path) -> BuildRecord:
    """Counts of a published version."""
    counts = open_dataset(out, version).statistics
    names = ("planned", "kept", "rejected", "failed")
    return BuildRecord(path=out, version=version, report=report, **{name: counts[name] for name in names})
