"""`hrm data`: build a data file, say what is in it, check it, draw a puzzle.

Command-line room. Sources are read and files are made in `hrm_core.data`, summaries in `hrm_core.data.summary`, and
pictures in `hrm_core.data.draw`, all imported inside the commands, so that `hrm data --help` stays fast.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.api.watching import building
from hrm_core.cli.options import clean, json_option, print_json, print_line, print_table, progress
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.data.build import Progress

file_option = click.option(
    "--data",
    "file",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="The data file (default: arc1.h5 in the folder of built data).",
)


@click.group()
def data() -> None:
    """Build, check and look at the data."""


def data_file(file: Path | None) -> Path:
    """The file given with --data, or arc1.h5 in the folder of built data, which must be there; a child has read it."""
    from hrm_core.data.guard import refuse_harmful
    from hrm_core.runs.layout import default_built_dir

    path = default_built_dir() / "arc1.h5" if file is None else file
    if file is None and not path.exists():
        raise UserError(f"no data file at {clean(str(path))}; build it with `hrm data build arc1`", exit_code=1)
    refuse_harmful(path)
    return path


def build_progress() -> AbstractContextManager[Progress]:
    """What `build` reports its work to: one bar (or one plain line) after another."""
    return building(progress)


@data.command()
@click.argument("names", nargs=-1, metavar="[arc1|arc2|NAME]...")
@click.option(
    "--source", "folders", multiple=True, type=click.Path(), metavar="DIR", help="A folder or file of ARC JSON tasks."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to write (default: by its name).")
@click.option("--skip-bad", is_flag=True, help="Leave out tasks that are not valid, and say how many.")
@click.option("--drop-overlap", is_flag=True, help="Leave out tasks that an earlier source has already.")
@json_option
def build(
    names: tuple[str, ...],
    folders: tuple[str, ...],
    out: Path | None,
    skip_bad: bool,
    drop_overlap: bool,
    as_json: bool,
) -> None:
    """Build a data file from ARC-AGI-1 (arc1), ARC-AGI-2 (arc2) or a folder of ARC tasks.

    Several sources make one file. The folder may hold training/*.json and evaluation/*.json, task files in any
    sub-folders, files of many tasks, or Kaggle's *_challenges.json with *_solutions.json.
    """
    sources = (*names, *folders)
    if not sources:
        raise UserError("nothing to build; name a source: `hrm data build arc1`, arc2, or --source DIR")
    from hrm_core.data.dataset import make_dataset
    from hrm_core.data.file import content_digest
    from hrm_core.data.prepare import prepare
    from hrm_core.data.summary import summarize, summary_lines
    from hrm_core.recipe.data import DataConfig

    with build_progress() as notify:
        made = prepare(sources, out, skip_bad, drop_overlap, notify)
    dataset = make_dataset(made.content, DataConfig(), content_digest(made.content))
    summary = summarize(made.path, dataset, made.num_bytes)
    if as_json:
        print_json({**summary, "notes": list(made.notes)})
        return
    for note in made.notes:
        print_line(note)
    for line in summary_lines(summary):
        print_line(line)


@data.command()
@file_option
@json_option
def info(file: Path | None, as_json: bool) -> None:
    """Say what a data file holds: tasks, pairs per canvas, coverage, duplicates, families."""
    from hrm_core.data.dataset import load_dataset
    from hrm_core.data.plan_families import plan_family_rows
    from hrm_core.data.summary import duplicate_rows, family_rows, lane_rows, summarize, summary_lines
    from hrm_core.recipe.data import DataConfig

    path = data_file(file)
    dataset = load_dataset(path, DataConfig())
    summary = summarize(path, dataset, path.stat().st_size)
    if as_json:
        print_json(summary)
        return
    for line in summary_lines(summary):
        print_line(line)
    print_line()
    print_table(["canvas", "train", "val", "eval"], lane_rows(dataset))
    print_line()
    print_table(["family", "training tasks", "evaluation tasks"], family_rows(dataset))
    print_line()
    columns = ["the plan's family", "training tasks", "evaluation tasks", "taken for"]
    print_table(columns, plan_family_rows(dataset.tasks))
    duplicates = duplicate_rows(dataset)
    if duplicates:
        print_line()
        print_line("tests that equal a training pair, turned or recoloured (scores are shown with and without them):")
        print_table(["split", "task", "test"], duplicates)


@data.command()
@file_option
@json_option
def check(file: Path | None, as_json: bool) -> None:
    """Check a data file: digest, schema, every value, and that augmented pairs come back as they were."""
    from hrm_core.data.checks import check_file

    path = data_file(file)
    with progress("checking") as advance:
        report = check_file(path)
        advance(1)
    if as_json:
        print_json(report)
        return
    for name, value in report.items():
        print_line(f"{name.replace('_', ' ')}: {value}")


@data.command()
@click.argument("task")
@file_option
@click.option("--no-answer", is_flag=True, help="Leave the outputs of the tests out.")
def show(task: str, file: Path | None, no_answer: bool) -> None:
    """Draw a puzzle of a data file, by the name of its task."""
    from hrm_core.data.dataset import load_dataset
    from hrm_core.data.draw import print_task
    from hrm_core.recipe.data import DataConfig

    print_task(load_dataset(data_file(file), DataConfig()), task, answers=not no_answer)
