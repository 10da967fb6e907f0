"""The command that masks photographs without training: mask."""

from pathlib import Path
from typing import Annotated

import typer

from maskmill.commands.options import Assignments, ConfigFile
from maskmill.failures import checked, running
from models.errors import UserError


def mask(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders with photos directly in them.")],
    out: Annotated[Path, typer.Option(help="Folder of the masks, soft maps, overlays and masks.csv.")] = Path("masks"),
    backbone: Annotated[str | None, typer.Option(help="'pocket', a diffusers folder, or a hub id.")] = None,
    category: Annotated[str | None, typer.Option("--class", help="What all photos show; CLIP is not asked.")] = None,
    no_prior: Annotated[bool, typer.Option("--no-prior", help="Name no class: the empty prompt.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Mask the main object of photographs; run again, it does what is missing.

    A photo goes to the backbone at about the backbone's own area, and is cut at its own size; where its longer side
    passes 2048 pixels it is cut with 2048 there, and the mask enlarged to the nearest pixel (overlays stay at 2048).
    Masks made under another config, or of a file that has changed since, are made again.
    """
    from models.config.overrides import resolve
    from models.config.photos import MaskConfig

    with checked():
        if no_prior and category is not None:
            raise UserError("--class and --no-prior: one names the class and the other none; give one of them")
        prior = {"clip": "none"} if no_prior else {"category": category} if category is not None else None
        resolved = resolve(MaskConfig, config, {"backbone": backbone, "prior": prior}, assignments)
        from flows.checks.mask import check_mask
        from flows.mask import mask as run_mask

        found, todo, _ = check_mask(resolved, photos, out)
        if not todo:
            typer.echo(f"Nothing is left to do: {len(found)} photos are masked in {out}")
            return
    with running():
        record = run_mask(resolved, photos, out)
        typer.echo(f"masked {record.made}, masked before {record.kept}, failed {record.failed}\n{record.table}")
    if record.failed:
        raise typer.Exit(1)
