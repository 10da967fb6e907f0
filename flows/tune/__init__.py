"""Find the numbers of the cut that suit a dataset's backbone, from its stored evidence, and solve all masks with them.

Needs no truth and no backbone. The choice is written beside the data as a config that `maskmill build` takes.
"""

from pathlib import Path

import yaml
from pydantic import BaseModel

from flows.base import flow
from flows.checks.tune import PICTURE, TUNED, check_tune, fixed_fields
from flows.recut import recut
from models.config.build import BuildConfig
from models.mappings import differences
from models.paths import GivenPath
from models.tuning.score import Score
from models.tuning.trials import Setting
from storage.atomic import replacing
from storage.dataset.trials import trial_rows
from tasks.cutting import search_setting
from tasks.reporting import draw_masks

SAMPLES = 32


class Figures(BaseModel):
    """A setting's masks: the score, as in `models.tuning.score.Score`, the mean area, and the share outside 5-70 %."""

    score: float
    area: float
    outside: float

    @classmethod
    def of(cls, score: Score) -> "Figures":
        """The figures of a score."""
        return cls(score=score.value, area=score.area, outside=score.outside)


class TuneRecord(BaseModel):
    """The result of tuning.

    version: the latest now, `before_version` if nothing was written or the masks stay; changed: dotted field -> its
    values before and after; config, picture and report are None in a dry run, and report too if the masks stay.
    """

    path: Path
    samples: int
    before_version: str
    version: str
    before: Figures
    after: Figures
    changed: dict[str, tuple[float | str, float | str]]
    fixed: str
    config: Path | None = None
    picture: Path | None = None
    report: Path | None = None


@flow(name="tune")
def tune(out: GivenPath, samples: int = SAMPLES, dry_run: bool = False) -> TuneRecord:
    """Choose a setting by `samples` of the dataset's samples, write it, and publish a version with its masks.

    UserError if no setting scores well; nothing is written then. Where the stored setting is already the best, the
    config is written and the masks stay.
    """
    dataset = check_tune(out, samples)
    stored = BuildConfig.of_stored(dataset.config)
    found = search_setting(out, dataset.version, samples)
    config = tuned(stored, found.setting)
    record = TuneRecord(
        path=out,
        samples=len(trial_rows(dataset, samples)),
        before_version=dataset.version,
        version=dataset.version,
        before=Figures.of(found.before),
        after=Figures.of(found.score),
        changed=differences(
            *(each.model_dump(mode="json", by_alias=True, exclude={"tuned"}) for each in (stored, config))
        ),
        fixed=fixed_fields(dataset),
    )
    if dry_run:
        return record
    settings = (Setting(stored.cut, stored.sampling.top_k), found.setting)
    draw_masks(out, dataset.version, samples, settings, out / PICTURE)
    written: dict[str, Path | str] = {"picture": out / PICTURE, "config": write_config(config, out / TUNED)}
    if record.changed:
        built = recut(config, out)
        written |= {"version": built.version, "report": built.report}
    return record.model_copy(update=written)


def tuned(stored: BuildConfig, setting: Setting) -> BuildConfig:
    """The stored config with a setting that was chosen for it."""
    sampling = stored.sampling.model_copy(update={"top_k": setting.top_k})
    return stored.model_copy(update={"cut": setting.cut, "sampling": sampling, "tuned": True})


def write_config(config: BuildConfig, file: Path) -> Path:
    """Write a config that `maskmill build --config` takes."""
    text = yaml.safe_dump(config.model_dump(mode="json", by_alias=True), allow_unicode=True, sort_keys=False)
    with replacing(file) as partial:
        partial.write_text(text, encoding="utf-8")
    return file
