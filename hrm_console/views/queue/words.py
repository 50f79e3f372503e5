"""The queue in words: an entry's row, the entry under the cursor, the worker's line. Pure functions, tested alone.

`Seen` (what was read of the queue) and the run of an entry, if it has one -> rows of Text for a width. Text from the
files is cleaned here.
"""

from __future__ import annotations

import time

from rich.text import Text

from hrm_console.rows.listing import RunLine
from hrm_console.theme import Palette
from hrm_console.views.queue.look import Seen
from hrm_console.words import NOTHING, count, duration, middle, plain, wrap
from hrm_core.runs.queue_records import DONE, FAILED, HELD, RUNNING, STOPPED, TO_COME, WAITING, Entry
from hrm_core.runs.queue_turns import any_elsewhere, where_words

MARKS = {WAITING: "○", HELD: "‖", RUNNING: "●", DONE: "✓", STOPPED: "■", FAILED: "✗"}
DIFFERS = "≠"
STATE_WIDTH, ID_WIDTH, AFTER_WIDTH, TIME_WIDTH, WHERE_WIDTH = 11, 4, 9, 10, 16


def state_style(state: str, palette: Palette) -> str:
    """The colour of an entry's state; its mark says the same."""
    return {
        RUNNING: palette.good,
        WAITING: palette.accent,
        HELD: palette.warn,
        FAILED: palette.bad,
    }.get(state, palette.muted)


def time_words(entry: Entry, line: RunLine | None) -> str:
    """What is left of a running one, what one to come will take by one like it, what one that is over took."""
    if entry.state == RUNNING:
        return NOTHING if line is None or line.eta_s is None else f"ETA {duration(line.eta_s)}"
    if entry.state in TO_COME:
        return NOTHING if entry.predicted_s is None else f"~{duration(entry.predicted_s)}"
    if entry.started_s is None or entry.ended_s is None:
        return NOTHING
    return duration(max(entry.ended_s - entry.started_s, 0.0))


def name_words(entry: Entry) -> str:
    """The run that it is, or will be."""
    return entry.run_id or entry.name or ""


def widths(width: int, elsewhere: bool = False) -> tuple[int, int, int]:
    """Cells for experiment, changes and run: the run where there is room, else it is in the words below."""
    rest = max(
        width - 3 - STATE_WIDTH - ID_WIDTH - 2 - AFTER_WIDTH - TIME_WIDTH - (WHERE_WIDTH if elsewhere else 0), 12
    )
    run = min(36, rest // 3) if width >= 110 else 0
    experiment = max(8, min(16, rest // 4))
    return experiment, max(rest - run - experiment - 2 - (1 if run else 0), 4), run


def header_row(width: int, palette: Palette, elsewhere: bool = False) -> Text:
    """The titles of the list; `elsewhere`: entries are not all for this machine."""
    experiment, changes, run = widths(width, elsewhere)
    cells = [f"{'state':<{STATE_WIDTH}}", f"{'id':>{ID_WIDTH - 1}} ", f"{'experiment':<{experiment}.{experiment}} "]
    cells.append(f"{'changes':<{changes}} ")
    if run:
        cells.append(f"{'run':<{run}} ")
    if elsewhere:
        cells.append(f"{'where':<{WHERE_WIDTH}}")
    cells += [f"{'after':<{AFTER_WIDTH}}", f"{'takes':>{TIME_WIDTH}}"]
    row = Text(" " + "".join(cells), style=palette.muted, no_wrap=True, end="")
    row.truncate(width)
    return row


def entry_row(entry: Entry, seen: Seen, line: RunLine | None, palette: Palette, width: int) -> Text:
    """One entry on one line."""
    elsewhere = any_elsewhere(seen.queue)
    experiment, changes, run = widths(width, elsewhere)
    over = entry.is_over
    text = palette.muted if over else palette.text
    place = seen.queue.place_of(entry.id)
    state = f"{MARKS.get(entry.state, '?')} {entry.state}" if place is None else f"{MARKS[entry.state]} {place}. "
    state += "held" if place is not None and entry.state == HELD else ""
    row = Text(" ", no_wrap=True, end="")
    row.append_text(_cell(state, STATE_WIDTH, state_style(entry.state, palette)))
    row.append_text(_cell(entry.id.rjust(ID_WIDTH - 1), ID_WIDTH, palette.muted))
    row.append_text(_cell(middle(entry.experiment, experiment), experiment + 1, text if over else palette.strong))
    differs = bool(seen.differs.get(entry.id))
    room = changes - (2 if differs else 0)
    if differs:
        row.append(f"{DIFFERS} ", palette.warn)
    row.append_text(_cell(changes_words(entry, room), room + 1, text))
    if run:
        row.append_text(_cell(middle(name_words(entry), run), run + 1, palette.muted))
    if elsewhere:
        row.append_text(_cell(middle(where_words(entry) or "local", WHERE_WIDTH - 1), WHERE_WIDTH, palette.muted))
    row.append_text(_cell(middle(entry.after or "", AFTER_WIDTH - 1), AFTER_WIDTH, palette.muted))
    row.append(time_words(entry, line).rjust(TIME_WIDTH), text)
    row.truncate(max(0, width))
    return row


def changes_words(entry: Entry, room: int) -> str:
    """The overrides; why it is held or failed where there is one and room beside them."""
    words = " ".join(entry.overrides) or "as it is"
    if entry.reason and entry.state != RUNNING and room - len(words) > 16:
        return f"{words}  {entry.reason}"
    return words


def _cell(words: str, width: int, style: str) -> Text:
    cell = plain(words, style, max(0, width - 1))
    cell.append(" " * (width - cell.cell_len))
    return cell


def worker_rows(seen: Seen, palette: Palette, width: int, key: str = "f") -> list[Text]:
    """What the worker does, or why there is none and what to do."""
    queue, worker = seen.queue, seen.worker
    to_come = len(queue.in_state(WAITING))
    if worker.alive:
        since = "" if worker.since_s is None else f" for {duration(time.time() - worker.since_s)}"
        waits = worker.words.startswith("waiting")
        ending = "; ending, as it was asked to" if queue.stop_asked else ""
        words = f"{'‖' if waits else '●'} at work{_minutes(since)}: {worker.words}{ending}"
        return wrap(words, width - 1, palette.warn if waits else palette.good, indent="   ", first=" ")
    if queue.stopped:
        words = f"✗ stopped: {queue.stopped}"
        advice = f"→ {key} goes on with the next one; t on that entry tries it again."
        return [
            *wrap(words, width - 1, palette.bad, indent="   ", first=" "),
            *wrap(advice, width - 1, palette.text, indent="   ", first=" "),
        ]
    if worker.died:
        words = f"! the worker is gone; {key} starts it again, and it finds what runs."
        return wrap(words, width - 1, palette.bad, indent="   ", first=" ")
    if to_come or queue.in_state(RUNNING):
        last = f"  Last: {worker.words}." if worker.words else ""
        words = f"· no worker is at work: {key} starts one.{last}"
        return wrap(words, width - 1, palette.accent, indent="   ", first=" ")
    last = f"; last: {worker.words}" if worker.words else ""
    return wrap(f"· no worker is at work, and nothing waits{last}", width - 1, palette.muted, indent="   ", first=" ")


def _minutes(words: str) -> str:
    """Seconds left out, so that the line is not painted every second."""
    return "" if words.endswith("s") else words.rpartition("m")[0] + "m" if "m" in words else words


def detail_rows(entry: Entry, seen: Seen, line: RunLine | None, palette: Palette, width: int) -> list[Text]:
    """The entry under the cursor: what it is, why it is as it is, what to do about it."""
    head = Text.assemble(" ", plain(f"{entry.id}  {entry.experiment}", palette.strong), no_wrap=True, end="")
    words = " ".join(entry.overrides)
    head.append("  ").append_text(plain(words or "as it is", palette.text))
    rows = (
        [head] if head.cell_len <= width else wrap(head.plain.strip(), width - 1, palette.text, indent="   ", first=" ")
    )
    about = []
    if name_words(entry):
        about.append(f"run {name_words(entry)}")
    if line is not None and line.step is not None and entry.state == RUNNING:
        about.append(f"step {count(line.step)}/{count(line.max_steps)}")
    if entry.after:
        about.append(f"after {'run ' if entry.after_is_run else ''}{entry.after}")
    if entry.source:
        about.append(f"from {entry.source}")
    if entry.attempts > 1:
        about.append(f"started {entry.attempts} times")
    if entry.gpus > 1:
        about.append(f"{entry.gpus} GPUs together")
    if where_words(entry):
        about.append(f"where: {where_words(entry)}")
    if entry.device and entry.state == RUNNING:
        about.append(f"on {entry.device}")
    commit = (entry.pins.code.commit or "no checkout")[:8] + (" with changes" if entry.pins.code.dirty else "")
    about.append(f"pins recipe {entry.pins.recipe_hash[:8]}, commit {commit}, torch {entry.pins.code.torch}")
    rows += wrap("   ".join(about), width - 1, palette.muted, indent=" ")
    if entry.reason:
        rows += wrap(f"{entry.state}: {entry.reason}", width - 1, state_style(entry.state, palette), indent=" ")
    differs = seen.differs.get(entry.id, ())
    if differs and entry.held_for != "pins":
        rows += wrap(f"{DIFFERS} now: {'; '.join(differs)}", width - 1, palette.warn, indent="   ", first=" ")
    if advice(entry, bool(differs)):
        rows += wrap(advice(entry, bool(differs)), width - 1, palette.accent, indent="   ", first=" → ")
    return rows


def advice(entry: Entry, differs: bool) -> str:
    """What a person can do with it, with the key."""
    if entry.state == HELD:
        return {
            "user": "h lets it run when its turn comes.",
            "pins": "t lets it run with the code of today; A accepts that for all that wait.",
            "after": "a chooses another one to run after, or none; D takes it out.",
        }.get(entry.held_for, "h lets it run when its turn comes.")
    if entry.state in (FAILED, STOPPED):
        return "t goes on from its last checkpoint, R begins another run, c puts one in with a change."
    if entry.state == WAITING and differs:
        return "It will be held when its turn comes. t accepts the code of today, A for all that wait."
    return ""


def empty_rows(seen: Seen, known: bool, palette: Palette, width: int) -> list[Text]:
    """What stands where no entry is."""
    if seen.trouble:
        return [Text(""), *wrap(seen.trouble, width - 2, palette.bad, indent="  ")]
    if not known:
        return [Text(""), Text("  reading the queue …", style=palette.muted)]
    prose = (
        ("Nothing is in the queue.", palette.strong),
        ("", ""),
        ("Press n to choose an experiment and put a run in the queue instead of starting it.", palette.accent),
        (
            "A worker starts one run a device, in order, until nothing is left. It goes on without this app.",
            palette.text,
        ),
        ("", ""),
        ("From a shell:  hrm queue add EXP-00 preset=cpu,  then  hrm queue start.", palette.muted),
    )
    return [Text(""), *(row for text, style in prose for row in wrap(text, width - 2, style, indent="  "))]


def idle_keys(entry: Entry | None) -> frozenset[str]:
    """The actions that the entry under the cursor has no use for."""
    if entry is None:
        own = ("open", "up", "down", "hold", "after", "retry", "clone", "remove")
        return frozenset({"stop", *(f"queue_{name}" for name in own)})
    hidden = set()
    if entry.state not in TO_COME:
        hidden |= {"queue_up", "queue_down", "queue_hold", "queue_after"}
    if entry.state != RUNNING:
        hidden |= {"stop"}
    if entry.state in (RUNNING, DONE, WAITING):
        hidden |= {"queue_retry"}
    if entry.state == RUNNING:
        hidden |= {"queue_remove"}
    if entry.run_id is None:
        hidden |= {"queue_open"}
    return frozenset(hidden)
