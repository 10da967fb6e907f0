"""The build: from class names to a published version of a dataset, and its report.

plan -> sample -> cut -> screen -> rank -> publish -> report. Shard k is cut while shard k + 1 is sampled. Each stage of
a shard is committed when it is done, so a build killed at any moment resumes from its last commit. A trial is the same
build of the first samples: it is extended if its masks pass, and published if they do not.
"""

import sys
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import BaseModel
from tqdm import tqdm

from analysis.diversity import diversity_of
from analysis.statistics import summarise
from flows.base import flow
from flows.checks.build import Plan, fetch_networks, open_writer, preflight
from flows.checks.trial import stop_of, trial_of
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
from tasks.screening import judge_trial, rank_samples, screen_shard


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
    """Build, resume or extend the dataset at `out`, publish it as a version, and write its report.

    TrialStopped if the trial's masks do not pass: the version is then that of the trial's samples.
    """
    version = fill.on(cut_runner(config.run))(config, out)
    record = record_of(out, version, write_report(out, version))
    if record.planned < config.count:
        trial = judge_trial(out, config.trial.model_copy(update={"samples": record.planned}))
        assert trial is not None, "a trial without a mask publishes nothing"
        raise stop_of(out, trial)
    return record


@flow(name="extend")
def extend(out: GivenPath, by: int) -> BuildRecord:
    """Add `by` samples to the dataset at `out`, under its stored config, and publish the next version."""
    if by < 1:
        raise UserError(f"by: expected 1 or more samples to add, got {by}")
    stored = BuildConfig.of_stored(open_dataset(out, "build").config)
    return build(stored.model_copy(update={"count": stored.count + by}), out)


@flow(name="fill")
def fill(config: BuildConfig, out: GivenPath) -> str:
    """Plan, sample, cut and screen the dataset's missing samples, and publish it; returns the version.

    If a trial comes first and its masks do not pass, the version has the trial's samples alone.
    """
    plan = preflight(config, out)  # again, for runs that were not started from the command line
    fetch_networks(plan)
    if (first := trial_of(plan.config, out)) and (stopped := hold_trial(replace(plan, config=first))):
        return stopped
    with open_writer(plan) as writer:
        return finish(writer, draw(writer, plan), plan.config, f"Publish {config.count} samples")


def hold_trial(plan: Plan) -> str | None:
    """Build and judge the samples of a trial; if its masks do not pass, publish them and return the version."""
    config = plan.config
    with open_writer(plan) as writer:
        commit_cuts(writer, draw(writer, plan, "trial"))
        trial = judge_trial(plan.out, config.trial)
        if trial is None:
            raise UserError(
                f"trial: none of the first {config.count} samples is finite, so there is no mask to judge, and nothing "
                "is published; build into another folder with --set run.dtype=float32, or continue with --no-trial"
            )
        if not trial.passes:
            return finish(writer, [], config, f"Publish the trial's {config.count} samples")
    tqdm.write(f"maskmill: trial passed: {trial}", file=sys.stderr)
    return None


def draw(writer: DatasetWriter, plan: Plan, title: str = "sampling") -> list[Result[Fork]]:
    """Plan and sample the missing samples; returns the cuts that are still running, to be committed."""
    config, facts, grammar, bought = plan.config, plan.facts, plan.grammar, plan.config.prompts.source == "llm"
    if unplanned := writer.pending("plan"):
        needed = grammar.prompts_needed(config.count) if bought else {}
        for category, number in lacking(writer.prompt_store("prompts"), needed).items():
            buy_prompts(writer, config.prompts, grammar, facts, category, number)
        fork = plan_samples(writer.fork(), unplanned, config.shard_size, grammar, facts, bought)
        writer.commit(fork, "Plan samples")
    cuts = [cut_shard.submit(writer.fork(), shard, config.cut) for shard in writer.pending("cut")]
    with sampling_progress(writer.num_with("planned"), title) as on_step:
        for shard in writer.pending("sample"):
            fork = sample_shard(writer.fork(), shard, facts, config.sampling, config.cut, config.run, on_step)
            writer.commit(fork, f"Sample shard {shard}")
            cuts.append(cut_shard.submit(writer.fork(), shard, config.cut))
            commit_cuts(writer, cuts, left=2 * max(1, config.run.workers))
    return cuts


def commit_cuts(writer: DatasetWriter, cuts: list[Result[Fork]], left: int = 0) -> None:
    """Wait for the oldest cuts and commit them, until only `left` are in the list."""
    while len(cuts) > left:
        writer.commit(cuts.pop(0).result(), "Cut a shard")


def finish(writer: DatasetWriter, cuts: list[Result[Fork]], config: BuildConfig, message: str) -> str:
    """Commit the running cuts, screen the cut samples, and publish; an unchanged dataset keeps its version.

    Ranking runs once over the whole dataset, when every sample has its scores.
    """
    commit_cuts(writer, cuts)
    if writer.published:
        return writer.publish(message)
    writer.begin_screening(embedding_width(config.screen.clip, config.run.device), config.screen)
    for shard in writer.pending("screen"):
        writer.commit(screen_shard(writer.fork(), shard, config), f"Screen shard {shard}")
    writer.commit(rank_samples(writer.fork(), config), "Rank the samples")
    frame = open_dataset(writer.path, "build").frame()
    embed = text_encoder(config.screen.clip, config.run.device)
    trial = judge_trial(writer.path, config.trial) if config.trial.samples else None
    judged = {} if trial is None else {"trial": asdict(trial)}
    return writer.publish(message, summarise(frame) | {"prompts": diversity_of(frame, embed)} | judged)


def record_of(out: Path, version: str, report: Path) -> BuildRecord:
    """Counts of a published version."""
    counts = open_dataset(out, version).statistics
    names = ("planned", "kept", "rejected", "failed")
    return BuildRecord(path=out, version=version, report=report, **{name: counts[name] for name in names})
