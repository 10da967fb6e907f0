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
    category: Annotated[str | None, typer.Option("--class", help="Class of all photos, instead of CLIP's.")] = None,
    no_prior: Annotated[bool, typer.Option("--no-prior", help="Use no class: the empty prompt.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Mask the main object of photographs. Run it again to mask only the photos that are not done.

    A photo is resized to about the backbone's native area, but cut at the photo's native size. If its longer side
    exceeds 2048 pixels, it is cut at 2048, and the mask is enlarged by nearest neighbour (overlays stay at 2048).
    Photos that changed, or were masked under another config, are masked again.
    """
    from models.config.overrides import resolve
    from models.config.photos import MaskConfig

    with checked():
        if no_prior and category is not None:
            raise UserError("--class and --no-prior: expected at most one of them, got both; leave one out")
        prior = {"clip": "none"} if no_prior else {"category": category} if category is not None else None
        resolved = resolve(MaskConfig, config, {"backbone": backbone, "prior": prior}, assignments)
        from flows.checks.mask import check_mask
        from flows.mask import mask as run_mask
        from maskmill.commands.notes import say
        from storage.photos.notes import Notes

        files, todo, _ = check_mask(resolved, photos, out, left_out := Notes())
        say(left_out, "photos")
        if not todo:
            typer.echo(f"Nothing is left to do: {len(files)} photos are masked in {out}")
            return
    with running():
        record = run_mask(resolved, photos, out)
        typer.echo(f"masked {record.made}, masked before {record.kept}, failed {record.failed}\n{record.table}")
    if record.failed:
        raise typer.Exit(1)
