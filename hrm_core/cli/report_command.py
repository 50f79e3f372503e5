"""`hrm report`: runs as a folder of Markdown and pictures that can be read without us.

Command-line room: run folders -> FOLDER/README.md with what each run is, its last validation beside the trivial
predictors, its alarms, curves of all runs in one chart, and grids of some tests. The pictures are
`hrm_core.interchange.report_files`'; no torch is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.cli import runs_words as words
from hrm_core.cli.options import clean, print_line, runs_folder, runs_option
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.evaluation.blocks import Block
    from hrm_core.runs.files import Row
    from hrm_core.runs.layout import RunFolder
    from hrm_core.runs.reader import RunView

METRICS = ("exact", "pass_at_2", "cell_accuracy")
SHOWN = 6  # grids of a run
WORD = 12  # columns before what a line of the status says


@click.command("report")
@click.argument("names", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="FOLDER", help="Where to."
)
@click.option("--png", is_flag=True, help="Every picture as PNG too (needs resvg-py).")
@click.option("--grids", type=click.IntRange(0, 200), default=SHOWN, show_default=True, help="Tests of a run to draw.")
@runs_option
def report(names: tuple[str, ...], out: Path, png: bool, grids: int, runs: Path | None) -> None:
    """Write README.md with tables, curves and grids of RUNs, each number beside the best trivial predictor's."""
    from hrm_core.evaluation.blocks import Block, markdown
    from hrm_core.interchange.report_files import RunRows, font_family, loss_chart, metric_chart, val_loss_chart
    from hrm_core.runs.atomic import explain_os_error
    from hrm_core.runs.catalogue import find_run
    from hrm_core.runs.reader import evaluation_rows, metrics_rows, read_run

    if out.exists() and any(out.iterdir()):
        raise UserError(f"--out {clean(str(out))} is not empty; give a new folder")
    layouts = [find_run(runs_folder(runs), name) for name in dict.fromkeys(names)]
    views = [read_run(layout.path) for layout in layouts]
    rows = [
        RunRows(
            layout.run_id, metrics_rows(layout), [row for row in evaluation_rows(layout) if row.get("kind") == "full"]
        )
        for layout in layouts
    ]
    pictures = {"loss": loss_chart(rows), "val-loss": val_loss_chart(rows)}
    pictures |= {name: metric_chart(rows, name) for name in METRICS}
    text = [f"# {clean(', '.join(layout.run_id for layout in layouts))}\n"]
    text.append(markdown([runs_block(views)]))
    text += [f"![{name}]({name}.svg)\n" for name in pictures]
    for place, (layout, view, one) in enumerate(zip(layouts, views, rows, strict=True)):
        drawn = drawn_grids(layout, place, grids)
        text.append(markdown(list(run_blocks(view, one.full))))
        for name, (said, picture) in drawn.items():
            text += [markdown([Block("", (said,))]), f"![{name}]({name}.svg)\n"]
            pictures[name] = picture
    try:
        write_all(out, "\n".join(text), pictures, png)
    except OSError as error:
        raise explain_os_error(error) from error
    print_line(f"{out / 'README.md'}: {len(layouts)} runs, {len(pictures)} pictures")
    if png and font_family() is None:
        print_line("the PNG have no words: this machine has no font such as DejaVu Sans; the SVG have them")


def write_all(out: Path, text: str, pictures: dict[str, str], png: bool) -> None:
    """The page last: who sees it sees all."""
    from hrm_core.interchange.report_files import to_png
    from hrm_core.runs.atomic import write_bytes

    converted = {name: to_png(picture) for name, picture in pictures.items()} if png else {}
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        write_bytes(out / f"{name}.svg", picture.encode("utf-8"))
    for name, data in converted.items():
        write_bytes(out / f"{name}.png", data)
    write_bytes(out / "README.md", text.encode("utf-8"))


def runs_block(views: Sequence[RunView]) -> Block:
    """All runs in one table, as `hrm list` has them."""
    from hrm_core.evaluation.blocks import Block

    columns = ("run", "state", "step", "loss", "exact (trivial)", "lift", "samples/s", "left", "alarms")
    return Block("Runs", (), columns, tuple(tuple(words.list_cells(view)) for view in views))


def run_blocks(view: RunView, full: Sequence[Row]) -> Iterator[Block]:
    """One run: what it is, its alarms, its last full validation."""
    from hrm_core.evaluation.blocks import Block

    said = [(line[:WORD].strip(), line[WORD:].strip()) for line in words.status_lines(view)]
    yield Block(view.run_id, (), said[0], tuple(said[1:]))
    if view.alarms:
        yield Block("", tuple(f"**{line.strip()}**" for line in words.alarm_lines(view) if line.strip()))
    if full:
        row = full[-1]
        lines = (words.evaluation_title(row),)
        yield Block("", lines, words.EVALUATION_COLUMNS, tuple(tuple(cells) for cells in words.evaluation_table(row)))
        yield Block("", tuple(words.evaluation_lines(row)))
    else:
        yield Block("", ("No full validation yet.",))


def drawn_grids(layout: RunFolder, place: int, count: int) -> dict[str, tuple[str, str]]:
    """Name of a picture -> a sentence and the picture, of the last predictions: half of them right where there are."""
    from hrm_core.interchange.report_files import grids_svg
    from hrm_core.runs.files import integer, number, string
    from hrm_core.runs.predictions import read_predictions, steps_kept

    steps = steps_kept(layout)
    if not steps or not count:
        return {}
    records = list(read_predictions(layout, steps[-1]))
    right = [record for record in records if record.get("exact") is True]
    wrong = [record for record in records if record.get("exact") is not True]
    chosen = right[: max((count + 1) // 2, count - len(wrong))]
    chosen += wrong[: count - len(chosen)]
    drawn = {}
    for place_of, record in enumerate(chosen):
        said = "right" if record.get("exact") is True else "wrong"
        task, test = clean(string(record, "task", 80) or "?"), (integer(record, "test") or 0) + 1
        sure = number(record, "confidence")
        confidence = "" if sure is None else f", confidence {sure:.2f}"
        sentence = f"{task}, test {test}, step {steps[-1]}: {said}{confidence}"
        drawn[f"grids-{place + 1}-{place_of + 1}"] = (sentence, grids_svg(record))
    return drawn
