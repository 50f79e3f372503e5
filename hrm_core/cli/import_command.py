"""`hrm import`: a published checkpoint of HRM or TRM becomes a snapshot of ours.

Command-line room. `hrm_core.interchange` does it; heavy imports are inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.cli.options import json_option, print_json, print_line

if TYPE_CHECKING:
    from hrm_core.interchange.published import Origin


@click.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="FILE|FOLDER")
@click.option(
    "--from", "origin", type=click.Choice(["hrm", "trm"]), required=True, help="Whose: HRM's, or TinyRecursiveModels'."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="SNAPSHOT", help="The new folder.")
@click.option(
    "--identifiers",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="identifiers.json of its data: the names of the identity rows.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="What the weights do not show, without a settings file.",
)
@json_option
def import_(
    checkpoint: Path, origin: Origin, out: Path, identifiers: Path | None, settings: tuple[str, ...], as_json: bool
) -> None:
    """Make a snapshot of FILE, a published state dict, or of the one in FOLDER, beside all_config.yaml where there is
    one. Every name and shape is checked; nothing that the file brings is run."""
    from hrm_core.interchange.import_published import import_published
    from hrm_core.interchange.published_files import read_published

    files = read_published(checkpoint)
    made = import_published(files, origin, out, settings, identifiers)
    config = made.recipe.model
    if as_json:
        print_json(
            {
                "snapshot": str(out),
                "from": origin,
                "file": str(files.path),
                "sha256": files.sha256,
                "step": files.step,
                "parameters": made.parameters,
                "identity_rows": made.rows,
                "assumed": made.assumed,
            }
        )
        return
    layers = f"{config.h_layers} shared" if config.share_levels else f"{config.h_layers} + {config.l_layers}"
    print_line(
        f"{out}: {made.parameters / 1e6:.2f} million parameters, hidden {config.hidden}, {layers} layers, "
        f"{made.rows} identity rows, step {files.step}"
    )
    if made.assumed:
        print_line(f"not told by the file, taken as published: {made.assumed}; --set changes it")
    print_line(f"next: hrm predict {out} TASK.json, or hrm run {made.recipe.experiment} --from {out}")
