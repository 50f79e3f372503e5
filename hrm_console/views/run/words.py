"""A run's panes in words: values at the crosshair, where the model would halt, families. Pure functions, tested alone.

evaluation rows and charts -> rows of Text for a width in cells. Exactness never stands without its trivial value; where
a row holds none (families in rows of earlier versions), that is said. What else the run screen says is in describe.py
and config.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from hrm_console.charts.chart import Chart, entries
from hrm_console.rows.evaluations import Row, best_of, best_trivial
from hrm_console.theme import Palette
from hrm_console.views.run.charts import Shown
from hrm_console.words import count, finite, number, plain, share, wrap
from hrm_core.runs.files import items, mapping

LEAST_BAR, MOST_BAR = 8, 60
SIGNS = {"line": "━", "points": "●", "guide": "┈"}


def values_rows(
    charts: Sequence[Chart], moment: str, palette: Palette, width: int, runs: Sequence[Shown] = ()
) -> list[Text]:
    """Every series of every chart: at the crosshair, else the newest. `moment`: what is said of the crosshair; runs:
    those laid over one another, whose numbers stand in the charts."""
    rows = wrap(moment or "newest values; left and right move a crosshair", width - 1, palette.muted, indent=" ")
    for run in runs if len(runs) > 1 else ():
        row = Text.assemble((f" {run.label}", palette.key), (" ━ ", f"color({run.color})"), no_wrap=True, end="")
        rows.append(row.append_text(plain(run.run_id, palette.text)))
    for chart in charts:
        column = min(22, max(8, width // 3))
        row = plain(f" {chart.title}", palette.muted, column)
        row.append(" " * max(0, column - row.cell_len))
        for entry in entries(chart):
            words = Text.assemble((f"  {SIGNS[entry.kind]} ", f"color({entry.color})"), no_wrap=True, end="")
            words.append(f"{entry.label} " if entry.label else "", palette.muted).append(entry.value, palette.text)
            if row.cell_len + words.cell_len >= width and row.cell_len > column:
                rows.append(row)
                row = Text(" " * column, no_wrap=True, end="")
            row.append_text(words)
        rows.append(row)
    return fitted(rows, width)


def fitted(rows: list[Text], width: int) -> list[Text]:
    """Rows cut to the width."""
    for row in rows:
        row.truncate(max(0, width), overflow="ellipsis")
    return rows


def bar(value: float, most: float, width: int) -> str:
    """A bar of eighths of a cell, `width` cells for `most`; something is to be seen of everything above zero."""
    if value <= 0 or most <= 0:
        return ""
    eighths = max(1, round(value / most * width * 8))
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8]).strip()


# Halting --------------------------------------------------------------------------------------------------------------


def halting_rows(evaluation: Row | None, palette: Palette, width: int) -> list[Text]:
    """Where the model would halt, on the newest full validation: counts by segment, then what it would save."""
    if evaluation is None:
        return [Text(" no full validation yet", style=palette.muted)]
    rows = _head(evaluation, palette, width)
    halting = mapping(evaluation, "halting")
    counts = [value for value in map(finite, items(halting, "histogram")) if value is not None]
    if not counts:
        return [*rows, Text(" this row holds no halting histogram", style=palette.muted)]
    pairs, never = finite(evaluation.get("pairs")), finite(halting.get("never"))
    total = pairs or sum(counts)
    listed = [(str(number), value) for number, value in enumerate(counts, 1)]
    if never is not None:
        listed.append(("never", never * total))
    most = max(value for _, value in listed)
    room = max(LEAST_BAR, min(MOST_BAR, width - 24))
    rows.append(Text(" segment   tests that would halt first there", style=palette.muted, no_wrap=True, end=""))
    for name, value in listed:
        style = palette.warn if name == "never" else palette.accent
        row = Text.assemble((f" {name:>7}  ", palette.muted), (bar(value, most, room), style), no_wrap=True, end="")
        row.append(f" {count(round(value))}  {share(value / total if total else None)} %", palette.text)
        rows.append(row)
    return fitted([*rows, Text(""), *_halting_prose(evaluation, len(counts), palette, width)], width)


def _head(evaluation: Row, palette: Palette, width: int) -> list[Text]:
    words = f"{evaluation.get('kind', '')} validation at step {count(evaluation.get('step'))}"
    return wrap(f"{words}, {count(evaluation.get('pairs'))} tests", width - 1, palette.muted, indent=" ")


def _halting_prose(evaluation: Row, segments: int, palette: Palette, width: int) -> list[Text]:
    """The analysis of an evaluation row as sentences."""
    found, sentences = mapping(evaluation, "halting_analysis"), []
    trivial = best_trivial(evaluation, "exact")
    beside = "" if trivial is None else f" (best trivial {share(trivial)} %)"
    entropy = [value for value in map(finite, items(found, "entropy")) if value is not None]
    if entropy:
        sentences.append(
            f"Entropy of the decision to halt: {number(entropy[0])} nats in segment 1, {number(entropy[-1])} in "
            f"segment {len(entropy)}; ln 2 = 0.693 is a coin toss."
        )
    if found.get("not_measurable"):
        sentences.append(f"Nothing more can be measured: {found['not_measurable']}.")
    depth = mapping(found, "depth_error")
    correlation = finite(depth.get("correlation"))
    if correlation is not None:
        words = "later halting goes with errors" if correlation > 0 else "later halting goes with being right"
        sentences.append(f"Depth and error: correlation {correlation:+.2f}, {words}.")
    by_depth = [_depth_words(entry, segments) for entry in items(depth, "by_depth")]
    if any(by_depth):
        sentences.append(f"Exact by where it would halt: {', '.join(filter(None, by_depth))}{beside}.")
    for key, words in (("saved", "Halting by itself"), ("equal_accuracy", "The threshold that saves most as exactly")):
        sentences += _saved_words(mapping(found, key), words, segments, beside)
    calibration = mapping(evaluation, "calibration")
    if finite(calibration.get("auroc")) is not None:
        sentences.append(
            f"Confidence against exactness: AUROC {number(calibration['auroc'])}, "
            f"ECE {number(calibration.get('ece'))}, "
            f"Brier {number(calibration.get('brier'))}; {share(calibration.get('base_rate'))} % are exact{beside}."
        )
    return [row for sentence in sentences for row in wrap(sentence, width - 1, palette.text, indent="   ", first=" · ")]


def _depth_words(entry: object, segments: int) -> str:
    if not isinstance(entry, list) or len(entry) != 3 or any(finite(value) is None for value in entry):
        return ""
    at, pairs, exact = entry
    where = "never" if at > segments else f"segment {at:.0f}"
    return f"{where} {share(exact)} % of {pairs:.0f}"


def _saved_words(row: Row, words: str, segments: int, beside: str) -> list[str]:
    if finite(row.get("segments")) is None:
        return []
    return [
        f"{words} (threshold {number(row.get('threshold'))}): {number(row['segments'])} of {segments} segments, "
        f"{share(row.get('share'))} % saved, exact {share(row.get('exact'))} % against "
        f"{share(row.get('exact_without'))} % with all{beside}."
    ]


# Families -------------------------------------------------------------------------------------------------------------

UNMEASURED = "; by family this row of an earlier version has none"
GROUPS = (("families", "our families"), ("plan_families", "the plan's"))


def families_rows(evaluation: Row | None, palette: Palette, width: int) -> list[Text]:
    """Exact by family with its 95 % interval and the best trivial value on its tests, best first; both namings."""
    if evaluation is None:
        return [Text(" no full validation yet", style=palette.muted)]
    rows, trivial = _head(evaluation, palette, width), best_trivial(evaluation, "exact")
    told = "not in this row" if trivial is None else f"{share(trivial)} %"
    rows += wrap(
        f"Best trivial exact on all these tests: {told}{'' if _by_family(evaluation) else UNMEASURED}.",
        width - 1,
        palette.muted,
        indent=" ",
    )
    segments = mapping(mapping(evaluation, "halting_analysis"), "families")
    for key, title in GROUPS:
        group = mapping(evaluation, key)
        if group:
            rows += [Text(""), _family_head(title, width, palette)]
            rows += [_family_row(name, row, segments.get(name), palette, width) for name, row in _sorted(group)]
    return fitted(rows, width)


def _by_family(evaluation: Row) -> bool:
    """Whether a row has what trivial predictors get in each family."""
    groups = [mapping(evaluation, key) for key, _ in GROUPS]
    return any("trivial" in mapping(group, name) for group in groups for name in group)


def _sorted(group: Row) -> list[tuple[str, Row]]:
    known = [(name, row) for name, row in group.items() if isinstance(row, dict)]
    return sorted(
        known, key=lambda entry: (-(finite(entry[1].get("exact")) or 0), -(finite(entry[1].get("pairs")) or 0))
    )


def _family_name_width(width: int) -> int:
    """As wide as the longest name where there is room beside the numbers."""
    return max(10, min(22, width - 39))


def _family_head(title: str, width: int, palette: Palette) -> Text:
    head = plain(f" {title}", palette.strong, _family_name_width(width))
    head.pad_right(_family_name_width(width) + 1 - head.cell_len)
    head.append(f"{'tests':>6}{'exact':>7}{'trivial':>8}  {'95 % interval':<14}", palette.strong)
    return head.append("segments" if width >= 84 else "", palette.strong)


def _family_row(name: str, row: Row, segments: Any, palette: Palette, width: int) -> Text:
    exact = finite(row.get("exact"))
    text = plain(f" {name}", palette.text, _family_name_width(width))
    text.pad_right(_family_name_width(width) + 1 - text.cell_len)
    text.append(f"{count(row.get('pairs')):>6}", palette.muted).append(f"{share(exact):>7}", palette.strong)
    text.append(f"{share(best_of(mapping(row, 'trivial'))):>8}", palette.muted)
    interval = f"{share(row.get('low'))} to {share(row.get('high'))}"
    text.append(f"  {interval:<14}", palette.muted)
    if width >= 84:
        text.append(f"{number(segments):>8}  ", palette.muted)
    room = width - text.cell_len - 1
    if room >= LEAST_BAR and exact is not None:
        text.append(" " + bar(exact, 1.0, min(MOST_BAR, room)), palette.accent)
    return text
