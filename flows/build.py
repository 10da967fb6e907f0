"""The build: from class names to a published version of a dataset, and its report.

plan -> sample -> cut -> screen -> rank -> publish -> report. Shard k is cut while shard k + 1 is sampled; each stage of
a shard is committed when it is done, so a build killed at any moment goes on where it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture
from pydantic import BaseModel
from tqdm import tqdm

from analysis.diversity import diversity_of
from analysis.statistics import summarise
from flows.checks.build import embedding_width, load_screening, open_writer, preflight
from flows.checks.prompts import prompts_lacking, text_encoder
from flows.runners import cut_runner
from models.config.build import BuildConfig
from models.errors import UserError
from storage.dataset.reader import open_dataset
from storage.dataset.writer import DatasetWriter
from tasks.buying import buy_prompts
from tasks.cutting import cut_shard
from tasks.prompts import plan_samples
from tasks.reporting import write_report
from tasks.sampling import sample_shard
from tasks.screening import rank_samples, screen_shard


class BuildRecord(BaseModel):
    """What a build ends with. `rejected` counts by reason."""

    path: Path
    version: str
    planned: int
    kept: int
    rejected: dict[str, int]
    failed: int
    report: Path


@flow(name="build")
def build(config: BuildConfig, out: Path) -> BuildRecord:
    """Build, resume or extend the dataset at `out`, and publish it as a version with a report beside it."""
    version = fill.with_options(task_runner=cut_runner(config.run))(config, out)
    return record_of(out, version, write_report(out, version))


@flow(name="extend")
def extend(out: Path, by: int) -> BuildRecord:
    """Add `by` samples to the dataset at `out`, under the config it was built with, and publish the next version."""
    if by < 1:
        raise UserError(f"by: expected 1 or more samples to add, got {by}")
    stored = BuildConfig.of_stored(open_dataset(out, "build").config)
    return build(stored.model_copy(update={"count": stored.count + by}), out)


@flow(name="fill")
def fill(config: BuildConfig, out: Path) -> str:
    """Plan, sample, cut and screen what the dataset lacks, and publish it; returns the version."""
    plan = preflight(config, out)  # here too, for runs that do not come from the command line
    config = plan.config
    load_screening(config)
    with open_writer(plan) as writer:
        if unplanned := writer.pending("plan"):
            if config.prompts.source == "llm":
                for category, number in prompts_lacking(config, out).items():
                    buy_prompts(writer, config, category, number)
            writer.commit(plan_samples(writer.fork(), unplanned, config), "Plan samples")
        cuts = [cut_shard.submit(writer.fork(), shard, config) for shard in writer.pending("cut")]
        with sampling_progress(writer, config) as on_step:
            for shard in writer.pending("sample"):
                writer.commit(sample_shard(writer.fork(), shard, config, on_step), f"Sample shard {shard}")
                cuts.append(cut_shard.submit(writer.fork(), shard, config))
                while len(cuts) > 2 * max(1, config.run.workers):
                    writer.commit(cuts.pop(0).result(), "Cut a shard")
        return finish(writer, cuts, config, f"Publish {config.count} samples")


def finish(writer: DatasetWriter, cuts: list[PrefectFuture[Any]], config: BuildConfig, message: str) -> str:
    """Commit the cuts still running, screen what is cut, and publish; the version stays where nothing changed.

    What screening ranks it ranks once, over the whole dataset, when every sample has its scores.
    """
    for cut in cuts:
        writer.commit(cut.result(), "Cut a shard")
    if writer.published:
        return writer.publish(message)
    writer.begin_screening(embedding_width(config), config.screen)
    for shard in writer.pending("screen"):
        writer.commit(screen_shard(writer.fork(), shard, config), f"Screen shard {shard}")
    writer.commit(rank_samples(writer.fork(), config), "Rank the samples")
    frame = open_dataset(writer.path, "build").frame()
    return writer.publish(message, summarise(frame) | {"prompts": diversity_of(frame, text_encoder(config))})


@contextmanager
def sampling_progress(writer: DatasetWriter, config: BuildConfig) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal and a progress artifact in the run, both moved by the steps of the shard being sampled."""
    total = writer.num_with("planned")
    artifact = create_progress_artifact(0.0, key="sampling", description=f"{total} samples to draw")
    bar, before = tqdm(total=total, desc="sampling", unit="img", disable=total == 0), 0

    def on_step(done: int, of: int) -> None:
        nonlocal before
        bar.n = before + done // config.sampling.steps
        bar.refresh()
        if done == of:
            before = bar.n
            update_progress_artifact(artifact, 100 * before / total)

    with bar:
        yield on_step


def record_of(out: Path, version: str, report: Path) -> BuildRecord:
    """Counts of a published version."""
    counts = open_dataset(out, version).statistics
    names = ("planned", "kept", "rejected", "failed")
    return BuildRecord(path=out, version=version, report=report, **{name: counts[name] for name in names})
