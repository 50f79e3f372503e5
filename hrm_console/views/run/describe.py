"""A run in words: the summary, the status pane, the alarms with what to try, the log. Pure functions, tested alone.

`RunLine` and `Feed` -> rows of Text for a width in cells. No number of quality is written without what the best trivial
predictor gets on the same samples. Curves are in feed.py, the table's row in columns.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.text import Text

from hrm_console.rows.evaluations import Row, best_trivial, lift_of, metric_of
from hrm_console.rows.listing import RunLine
from hrm_console.theme import Palette
from hrm_console.words import (
    LIVE,
    NOTHING,
    RESUMABLE,
    count,
    duration,
    finite,
    fold,
    number,
    plain,
    progress_bar,
    rate,
    share,
    signed_share,
    state_text,
    table,
    wrap,
)
from hrm_core.runs import disk
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_console.rows.feed import Feed

METRICS = (
    ("exact", "exact"),
    ("pass_at_1", "pass@1"),
    ("pass_at_2", "pass@2"),
    ("cell_accuracy", "cells"),
    ("color_accuracy", "colours"),
    ("changed_cell_accuracy", "changed cells"),
    ("shape_accuracy", "shape"),
    ("padded_accuracy", "padded 30x30"),
)
SENSITIVITIES = (
    ("input_sensitivity", "input sensitivity", "input_gain"),
    ("identity_sensitivity", "identity sensitivity", "identity_gain"),
)
EVENT_NOISE = frozenset({"checkpoint", "validation_skipped"})


def hint(line: RunLine) -> str:
    """What the user can do with a run in this state, with the key."""
    if any(alarm.name == disk.ALARM for alarm in line.alarms):
        return ""  # the alarm says what to do; no key lets such a run go on
    return {
        "lost": "The process that trained this run is gone. Press r to resume it from its last checkpoint.",
        "failed": "The run failed; its log says why. Press r to try again from its last checkpoint.",
        "stopped": "Stopped. Press r to go on from its last checkpoint.",
        "paused": "Paused: it holds its place in memory and does nothing. Press p to let it go on.",
        "stalled": "Alive, but no sign of progress. Wait, or press s to stop it.",
        "starting": "Starting: data and model are being made ready.",
        "stopping": "Stopping: it writes its last checkpoint.",
    }.get(line.state, "")


def exact_words(line: RunLine, palette: Palette, brief: bool = False) -> Text:
    """Exact beside the best trivial predictor's, with the lift."""
    if line.exact is None:
        return Text("no validation yet", style=palette.muted)
    words = Text.assemble((f"exact {share(line.exact)} %", palette.strong))
    if line.trivial is not None:
        words.append(f"  {'trivial' if brief else 'best trivial'} {share(line.trivial)} %", palette.muted)
    if line.lift is not None:
        words.append(f"  lift {signed_share(line.lift)}", palette.good if line.lift > 0 else palette.warn)
    return words


def summary_row(line: RunLine, palette: Palette, width: int) -> Text:
    """State, progress and exact on one line: what matters of a run."""
    row = Text(" ", no_wrap=True, end="")
    row.append_text(state_text(line.state, palette))
    row.append("  ")
    if width >= 100:
        row.append_text(progress_bar(line.fraction, min(30, width // 6), palette))
        row.append("  ")
    if line.step is not None:
        row.append(f"step {count(line.step)}/{count(line.max_steps)}", palette.text)
        row.append("  ")
    row.append_text(exact_words(line, palette, width < 100))
    if line.eta_s is not None:
        row.append(f"  ETA {duration(line.eta_s)}", palette.text)
    if line.speed is not None:
        row.append(f"  {rate(line.speed)} segments/s", palette.muted)
    row.truncate(width, overflow="ellipsis")
    return row


def preview_rows(line: RunLine, palette: Palette, width: int) -> list[Text]:
    """The run under the cursor: name, numbers, what to do, alarms."""
    title = Text.assemble(
        " ", plain(line.run_id, palette.strong), "  ", plain(line.experiment, palette.muted), no_wrap=True, end=""
    )
    title.truncate(width, overflow="ellipsis")
    rows = [title, summary_row(line, palette, width)]
    best = best_words(line, palette, width - 1)
    if best is not None:
        row = Text(" ", no_wrap=True, end="").append_text(best)
        row.truncate(width, overflow="ellipsis")
        rows.append(row)
    if hint(line):
        rows += wrap(hint(line), width - 1, palette.accent, indent=" ")
    return rows + alarm_rows(line, palette, width, spaced=False)


def best_words(line: RunLine, palette: Palette, width: int) -> Text | None:
    """The best validation so far, and the training loss where there is room."""
    best = line.best
    if best is None or finite(best.get("value")) is None:
        return None
    words = Text.assemble(("best ", palette.muted), plain(best.get("metric", "exact"), palette.muted))
    words.append(f" {share(best.get('value'))} % at step {count(best.get('step'))}", palette.text)
    if finite(best.get("trivial")) is not None:
        words.append(f" (best trivial {share(best.get('trivial'))} %)", palette.muted)
    loss = f"   training loss {number(line.loss)}" if finite(line.loss) is not None else ""
    return words.append(loss, palette.muted) if words.cell_len + len(loss) <= width else words


def alarm_rows(line: RunLine, palette: Palette, width: int, spaced: bool = True) -> list[Text]:
    """Every alarm: its name, its sentence with the numbers, what to try."""
    rows: list[Text] = []
    for alarm in line.alarms:
        if rows and spaced:
            rows.append(Text(""))
        style = palette.bad if alarm.name == "lost" else palette.warn
        rows += wrap(f"{alarm.name}: {alarm.sentence}", width - 1, style, indent="   ", first=" ▲ ")
        if alarm.advice:
            rows += wrap(alarm.advice, width - 1, palette.text, indent="   ", first=" → ")
    return rows


def no_alarms_rows(line: RunLine, feed: Feed | None, palette: Palette, width: int) -> list[Text]:
    """What stands where alarms would."""
    if line.status.get("warming_up"):
        text = "No alarm. Still warming up: most alarms are decided after the first tenth of the run."
    elif feed is not None and feed.evaluation is None and line.state in LIVE:
        text = "No alarm. The first validation decides whether the run looks at its input at all."
    else:
        text = "No alarm."
    return wrap(text, width - 1, palette.muted, indent=" ")


def status_rows(line: RunLine, feed: Feed | None, palette: Palette, width: int) -> list[Text]:
    """Where the run is: state, speed, next events, device."""
    status = line.status
    pairs: list[tuple[str, Any]] = [("state", state_text(line.state, palette))]
    if line.step is not None:
        done = "" if line.fraction is None else f"  ({100 * line.fraction:.0f} %)"
        pairs.append(
            ("step", f"{line.step:.0f} of {NOTHING if line.max_steps is None else f'{line.max_steps:.0f}'}{done}")
        )
    for name, key, words in STATUS_VALUES:
        if status.get(key) not in (None, "") and (key, status[key]) != ("stage", 0):
            pairs.append((name, words(status[key], status)))
    for name, key in (("ended", "reason"), ("error", "error")):
        if line.result.get(key):
            pairs.append((name, str(line.result[key])))
    rows = table(pairs, palette, width)
    if hint(line):
        rows += [Text(""), *wrap(hint(line), width - 1, palette.accent, indent=" ")]
    return rows + evaluation_rows(feed, palette, width)


def _at(next_key: str) -> Callable[[object, Row], str]:
    """Writes the step of what was last done, and when it is due next."""

    def words(step: object, status: Row) -> str:
        due = finite(status.get(next_key))
        return f"at {count(step)}" + ("" if due is None else f", next in {duration(due)}")

    return words


def _as(form: Callable[[object], str], unit: str = "") -> Callable[[object, Row], str]:
    return lambda value, status: f"{form(value)} {unit}".rstrip()


STATUS_VALUES: tuple[tuple[str, str, Callable[[object, Row], str]], ...] = (
    ("stage", "stage", _as(str)),
    ("epoch", "epoch", _as(number)),
    ("segments/s", "samples_per_sec", _as(rate)),
    ("steps/s", "steps_per_sec", _as(number)),
    ("learning rate", "lr", _as(number)),
    ("gradient norm", "grad_norm", _as(number)),
    ("ETA", "eta_s", _as(duration)),
    ("fast validation", "last_fast_eval_step", _at("eta_to_next_fast_eval_s")),
    ("full validation", "last_full_eval_step", _at("eta_to_next_full_eval_s")),
    ("checkpoint", "last_checkpoint_step", _at("")),
    ("memory", "memory_gib", _as(number, "GiB")),
    ("power", "power_w", _as(number, "W")),
    ("temperature", "temperature_c", _as(number, "°C")),
)


def evaluation_rows(feed: Feed | None, palette: Palette, width: int) -> list[Text]:
    """The newest full validation, or the newest at all: every metric beside its best trivial value."""
    row = None if feed is None else feed.newest("full") or feed.evaluation
    if row is None:
        return []
    head = f"{row.get('kind', '')} validation at step {count(row.get('step'))}, {row.get('split', '')}"
    head += f", {count(row.get('pairs'))} tests, {row.get('weights', '')} weights"
    rows = [Text(""), *wrap(head.strip(), width - 1, palette.muted, indent=" ")]
    rows.append(_columns("", "run", "trivial", "lift", palette.muted))
    for key, name in METRICS:
        value = metric_of(row, key)
        if value is not None:
            line = _columns(name, share(value), share(best_trivial(row, key)), "", palette.text)
            lift = lift_of(row, key)
            if lift is not None:
                line.right_crop(7)
                line.append(f"{signed_share(lift):>7}", palette.good if lift > 0 else palette.warn)
            rows.append(line)
    for key, name, gain in SENSITIVITIES:
        if finite(row.get(key)) is not None:
            words = f" {name} {share(row[key])} %"
            if finite(row.get(gain)) is not None:
                words += f", gain {signed_share(row[gain])} points"
            rows.append(plain(words, palette.text, width))
    notes = row.get("notes") if isinstance(row.get("notes"), list) else []
    for note in notes or []:
        rows += wrap(note, width - 1, palette.muted, indent="   ", first=" · ")
    return rows


def _columns(name: str, value: str, trivial: str, lift: str, style: str) -> Text:
    return Text(f" {name:<14}{value:>7}{trivial:>9}{lift:>7}", style=style, no_wrap=True, end="")


def log_rows(feed: Feed | None, palette: Palette, width: int) -> list[Text]:
    """The log's tail, cleaned and folded to the width, errors and warnings marked by colour."""
    if feed is None or not feed.log:
        return [Text(" nothing logged yet" if feed is not None and feed.read else " reading …", style=palette.muted)]
    rows: list[Text] = []
    for line in feed.log:
        style = log_style(line, palette)
        rows += [Text(part, style, no_wrap=True, end="") for part in fold(clean(line.expandtabs(4)), width - 1)]
    return rows


def log_style(line: str, palette: Palette) -> str:
    """Errors and warnings stand out."""
    low = line.lower()
    return palette.bad if "error" in low else palette.warn if "warn" in low or "alarm" in low else palette.text


def can_resume(line: RunLine) -> bool:
    """Whether resuming makes sense: nobody is training it."""
    return line.state in RESUMABLE


def can_steer(line: RunLine) -> bool:
    """Whether somebody listens to its control folder."""
    return line.state in LIVE
