"""`hrm archive`: the archived bests of all runs, and what can be done with them.

Command-line room: `hrm_core.runs.archive*` -> tables and JSON; no torch is loaded. SNAPSHOT is RUN@best, RUN@STEP,
RUN@last, a promoted snapshot's name or a folder. The words are in `archive_words.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.cli import archive_words as words
from hrm_core.cli.options import clean, json_option, print_json, print_line, print_table, runs_folder, runs_option
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.runs.archive import Entry, Listing
    from hrm_core.runs.archive_changes import PrunePlan

snapshot_argument = click.argument("snapshot", metavar="SNAPSHOT")


@click.group()
def archive() -> None:
    """The best snapshots of all runs: list, show, promote, pin, prune, export.

    SNAPSHOT is RUN@best, RUN@STEP, RUN@last, a promoted snapshot's name or a folder. `hrm eval SNAPSHOT` evaluates one
    again, `hrm run EXPERIMENT --from SNAPSHOT` starts a run from its weights.
    """


def find_entry(runs_dir: Path, word: str) -> tuple[Listing, Entry]:
    """The archive, and the entry that a word names; a checkpoint or an export is an entry by itself."""
    from dataclasses import replace

    from hrm_core.runs.archive import Archive, origin_of, read_entry
    from hrm_core.runs.archive_changes import described, home_of
    from hrm_core.runs.files import read_json_object
    from hrm_core.runs.snapshot_names import PROMOTED, find_snapshot

    folder = find_snapshot(runs_dir, word)
    listing = Archive(runs_dir).read()
    entry = listing.find(folder)
    if entry is None:
        run, step, provenance = described(folder)
        home = home_of(folder)
        origin = origin_of(provenance if home is None else read_json_object(home.run_json) or {})
        named = folder.name if home is None else f"{run}@{step}"
        promoted = (named,) if folder.parent.name == PROMOTED else ()
        entry = replace(read_entry(folder), name=named, run_id=run, step=step, origin=origin, promoted=promoted)
    return listing, entry


@archive.command("list")
@runs_option
@click.option("--by", default="exact", show_default=True, metavar="METRIC", help="A metric, or loss, newest, size.")
@click.option("--limit", type=click.IntRange(1), default=None, metavar="N", help="The first N only.")
@click.option("--best", is_flag=True, help="Only the best of each run, and promoted ones.")
@json_option
def list_(runs: Path | None, by: str, limit: int | None, best: bool, as_json: bool) -> None:
    """List the archived bests of all runs, the best first, each beside the best trivial predictor."""
    from hrm_core.runs.archive import Archive, ordered
    from hrm_core.runs.archive_details import entry_json

    folder = runs_folder(runs)
    listing = Archive(folder).read()
    entries = [entry for entry in ordered(listing.entries, by) if not best or entry.is_best or entry.promoted][:limit]
    if as_json:
        print_json([entry_json(entry) for entry in entries])
        return
    if not entries:
        print_line(f"Nothing is archived in {folder.absolute()} yet; a run archives each new best of its validations.")
        return
    print_line(f"Archive of {folder.absolute()}: {words.total_line(listing)}")
    print_table(words.list_columns(by), [words.list_cells(entry, by) for entry in entries])


@archive.command()
@snapshot_argument
@runs_option
@json_option
def show(snapshot: str, runs: Path | None, as_json: bool) -> None:
    """Show one: metrics, status and log of then, settings, lineage, weights, and whether every byte is whole."""
    from hrm_core.cli import runs_words
    from hrm_core.runs.archive_details import read_details

    listing, entry = find_entry(runs_folder(runs), snapshot)
    details = read_details(entry, listing, verify=True)
    if as_json:
        print_json(details.to_json())
        return
    for line in words.head_lines(details):
        print_line(line)
    if details.evaluation:
        print_line("\n" + runs_words.evaluation_title(details.evaluation))
        print_table(runs_words.EVALUATION_COLUMNS, runs_words.evaluation_table(details.evaluation))
        for line in runs_words.evaluation_lines(details.evaluation):
            print_line(line)
    print_line(f"\nSettings that differ from {details.control}:")
    if details.recipe_problem:
        print_line(f"  cannot be told: {details.recipe_problem}")
    for key, control, own in details.changes:
        print_line(f"  {key} = {own}   (there {control})")
    if not details.changes and not details.recipe_problem:
        print_line("  none")
    print_line("\nLineage:")
    for line in words.lineage_lines(details):
        print_line("  " + line)
    print_line("\nThe last lines of the log then:")
    for line in details.log[-10:]:
        print_line("  " + line)


@archive.command()
@snapshot_argument
@click.argument("name", required=False)
@runs_option
@click.option("--remove", is_flag=True, help="Remove the promoted snapshot of that name again.")
def promote(snapshot: str, name: str | None, runs: Path | None, remove: bool) -> None:
    """Give SNAPSHOT a NAME and a place of its own, where it outlives its run; `--remove NAME` takes that away."""
    from hrm_core.runs.archive_changes import demote
    from hrm_core.runs.archive_changes import promote as make
    from hrm_core.runs.snapshot_names import find_snapshot

    folder = runs_folder(runs)
    if remove:
        if name is not None:
            raise UserError("write `hrm archive promote --remove NAME` with the promoted name alone")
        demote(folder, snapshot)
        print_line(f"{snapshot} is not promoted any more.")
        return
    if name is None:
        raise UserError("a promoted snapshot needs a name: hrm archive promote SNAPSHOT NAME")
    target = make(folder, find_snapshot(folder, snapshot), name)
    print_line(f"{snapshot} is now also {name}, in {target}")


@archive.command()
@snapshot_argument
@runs_option
@click.option("--off", is_flag=True, help="Take the pin away.")
def pin(snapshot: str, runs: Path | None, off: bool) -> None:
    """Pin SNAPSHOT, so that pruning leaves it alone."""
    from hrm_core.runs.archive_changes import pin as put

    listing, entry = find_entry(runs_folder(runs), snapshot)
    if entry not in listing.entries:
        raise UserError(f"{clean(snapshot)} is no archived best, and only those are pruned; see `hrm archive list`.", 1)
    put(entry, not off)
    print_line(f"{entry.name} is {'not pinned any more' if off else 'pinned'}.")


@archive.command()
@runs_option
@click.option(
    "--budget", type=click.FloatRange(0), default=None, metavar="GIB", help="Keep to this (default: the setting's)."
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def prune(runs: Path | None, budget: float | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove the oldest archived snapshots until the archive keeps to its budget.

    Never the best of a run, nothing pinned or promoted, nothing of a run that goes on. Checkpoints are not counted.
    """
    from hrm_core.runs.archive import Archive
    from hrm_core.runs.archive_changes import live_runs, plan_prune
    from hrm_core.runs.archive_changes import prune as remove
    from hrm_core.runs.user_settings import read_settings

    folder = runs_folder(runs)
    listing = Archive(folder).read()
    gib = read_settings().number("archive.budget_gib") if budget is None else budget
    live = live_runs(folder, {entry.run_id for entry in listing.entries if not entry.kept})
    plan = plan_prune(listing, int(gib * 2**30), live)
    if not as_json:
        _say_plan(plan)
    if plan.goes and not dry_run and not yes:
        if as_json:
            raise UserError("--json does not ask: give --yes, or --dry-run to see what would go")
        click.confirm("Remove them?", abort=True)
    gone = [] if dry_run else remove(folder, plan.goes)
    if as_json:
        print_json({**words.plan_json(plan), "removed": [entry.name for entry in gone]})
    elif plan.goes and not dry_run:
        stayed = len(plan.goes) - len(gone)
        more = f"; {stayed} stay, pinned or taken up meanwhile" if stayed else ""
        print_line(f"removed {len(gone)}, {words.size(sum(entry.size_bytes for entry in gone))} are free again{more}.")


def _say_plan(plan: PrunePlan) -> None:
    print_line(words.plan_line(plan))
    if plan.goes:
        print_table(words.PRUNE_COLUMNS, [words.prune_cells(entry) for entry in plan.goes])
    for line in words.plan_notes(plan):
        print_line(line)


@archive.command()
@snapshot_argument
@click.argument("place", type=click.Path(path_type=Path))
@runs_option
def export(snapshot: str, place: Path, runs: Path | None) -> None:
    """Copy SNAPSHOT to PLACE: into a folder that is there, else to a new folder of that name, or one PLACE.tar.

    With weights (safetensors), recipe, evaluation and a README; every byte is checked.
    """
    from hrm_core.runs.archive_details import read_details
    from hrm_core.runs.archive_export import export_snapshot

    listing, entry = find_entry(runs_folder(runs), snapshot)
    print_line(f"exported to {export_snapshot(read_details(entry, listing), place)}")
