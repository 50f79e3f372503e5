"""The words around the runs table: what is filtered, marked and sorted, and what stands in an empty folder.

Session, counts and a width -> rows of Text; pure, tested alone. The table's rows are in columns.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from hrm_console.rows.listing import RunLine
from hrm_console.screens.frame import idle_keys
from hrm_console.session import Session
from hrm_console.theme import Palette
from hrm_console.views.run.describe import can_steer
from hrm_console.views.runs.columns import sort_arrow
from hrm_console.widgets.bar import two_ends
from hrm_console.words import middle, plain, wrap

EXAMPLES = "exp:EXP-07  state:running  val>20%  cfg.optimizer=lion  -alarm  age<2h | has:best"
SHORT_EXAMPLES = "exp:EXP-07  val>20%  -alarm  state:lost"


def title_words(shown: int, of: int, session: Session) -> str:
    """The screen's name: with a filter, how many runs it shows."""
    return f"runs {shown} of {of}" if session.filter else "runs"


def has_view_line(session: Session, trouble: str) -> bool:
    """Whether there is anything to say between title and table."""
    return bool(trouble or session.filter or session.marked or session.baseline or session.sort)


def view_line(session: Session, shown: int, of: int, trouble: str, palette: Palette, width: int) -> Text:
    """Filter with its count, sort key, marks and baseline; or what of the filter is not understood."""
    if trouble:
        return plain(f" ✗ {trouble}", palette.bad, width)
    left, right = Text(no_wrap=True, end=""), Text(no_wrap=True, end="")
    if session.filter:
        left.append(f" {shown} of {of} ", palette.warn if not shown else palette.strong)
        left.append_text(plain(session.filter, palette.text))
        if not shown:
            left.append("  no run is such; esc takes the filter away", palette.muted)
    if session.sort:
        _part(right, "by ", f"{session.sort.removeprefix('-')} {sort_arrow(session.sort)}", palette)
    if session.marked:
        _part(right, "◆ ", f"{len(session.marked)} marked", palette)
    if session.baseline:
        _part(right, "B ", middle(session.baseline, max(12, min(40, width // 3))), palette)
    return two_ends(left, right, width, "")


def _part(line: Text, head: str, words: str, palette: Palette) -> None:
    line.append(f" {head}", f"bold {palette.accent}")
    line.append_text(plain(f"{words} ", palette.muted))


def editing_line(text: str, counts: tuple[int, int], trouble: str, hint: str, palette: Palette, width: int) -> Text:
    """Under the field of the filter: how many runs it chooses, what it may become, what is wrong with it, examples."""
    if trouble:
        return plain(f" ✗ {trouble}", palette.bad, width)
    if not text.strip():
        return plain(f" such as  {EXAMPLES if width >= 100 else SHORT_EXAMPLES}", palette.muted, width)
    shown, of = counts
    left = Text(f" {shown} of {of} runs", palette.strong if shown else palette.warn, no_wrap=True, end="")
    if hint:
        left.append_text(plain(f"   {hint}", palette.muted))
    right = Text("enter keeps it  esc takes it away ", palette.muted, no_wrap=True, end="")
    return two_ends(left, right, width, "")


def hidden_keys(line: RunLine | None, session: Session, has_digest: bool) -> frozenset[str]:
    """The actions that the footer leaves out."""
    hidden = set(idle_keys(line))
    if line is None or can_steer(line):
        hidden |= {"run_rename", "run_remove"}
    if line is None:
        hidden |= {"mark", "baseline"}
    if not session.sort:
        hidden.add("sort_reverse")
    return frozenset(hidden if has_digest else hidden | {"digest"})


def marked_lines(lines: Sequence[RunLine], session: Session) -> tuple[RunLine, ...]:
    """The marked runs that are in the folder, in the order of marking."""
    there = {line.run_id: line for line in lines}
    return tuple(there[name] for name in session.marked if name in there)


def empty_rows(folder: str, trouble: str, known: bool, palette: Palette, width: int) -> list[Text]:
    """What stands where the table would, in a folder without runs."""
    if trouble:
        return wrap(f"Cannot read {folder}: {trouble}", width, palette.bad, indent="  ")
    if not known:
        return [Text(f"  reading {folder} …", style=palette.muted)]
    prose = (
        ("No runs here yet.", palette.strong),
        (f"Runs are kept in {folder}.", palette.text),
        ("", ""),
        ("Press n to choose an experiment and start one.", palette.accent),
        (
            "The demo learns real ARC puzzles on a CPU in a few minutes: choose it in the list and press F5.",
            palette.text,
        ),
        ("", ""),
        (
            "From a shell:  hrm run demo --detach  does the same,  hrm-console --runs DIR  shows another folder.",
            palette.muted,
        ),
        ("Runs go on when you leave this app or lose the connection.", palette.muted),
    )
    return [Text("")] + [row for text, style in prose for row in wrap(text, width, style, indent="  ")]
