"""Runs held against each other, in words: legend, settings that differ, the verdict, tests by family and one by one.

Pure functions, tested alone. The verdict is what `hrm compare --json` says, word for word: the console has none of its
own. Counts of solved tests stand beside what the best trivial predictor solves of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from hrm_console.asking import Answer
from hrm_console.rows.feed import Feed
from hrm_console.rows.listing import RunLine
from hrm_console.theme import Palette
from hrm_console.views.compare.state import Chosen
from hrm_console.views.run.look import Look, moment_words
from hrm_console.widgets.bar import two_ends
from hrm_console.words import count, duration, middle, plain, share, tabs, wrap
from hrm_core.runs.files import items, mapping, number, string
from hrm_core.runs.paired import FamilyCount, PairedRuns, PairedTest, count_families
from hrm_core.runs.text import clean

KEY_WIDTH, LEAST_VALUE = 30, 10
PERCENT = "\u00a0%"  # with a space at which no line breaks
ALL_FAMILIES = "all families"
AXIS = {"step": "steps"}
PAGE_KEYS = {"curves": {"compare_axis", "compare_choice", "zoom"}, "tests": {"compare_filter"}}
MARKS = {"gained": "+", "lost": "−", "both": "=", "neither": "·"}
BY = {"steps": "equal steps", "seconds": "equal training time", "segments": "equal segments"}


def outcome_style(outcome: str, palette: Palette) -> str:
    """The colour of an outcome; its mark says it too."""
    return {"gained": palette.good, "lost": palette.bad, "both": palette.text}.get(outcome, palette.muted)


def legend(chosen: Chosen, colors: Mapping[str, int], palette: Palette, width: int) -> Text:
    """The runs by number and colour; which is the baseline and which is paired with it."""
    row = Text(no_wrap=True, end="")
    roles = {chosen.baseline: " baseline", chosen.other: " against it"} if chosen.is_pair else {}
    extra = sum(len(words) for words in roles.values()) + 6 * len(chosen.runs)
    room = max(6, (width - extra) // max(1, len(chosen.runs)))
    for place, (name, short) in enumerate(zip(chosen.runs, told_apart(chosen.runs, room), strict=True), 1):
        style = f"color({colors[name]})" if name in colors else palette.muted
        row.append(f" {place} ", f"bold {style}")
        row.append_text(plain(short, style))
        row.append(roles.get(name, ""), palette.muted)
        row.append(" ")
    row.truncate(width, overflow="ellipsis")
    return row


def tabs_row(pages: Sequence[str], page: str, right: str, palette: Palette, width: int) -> Text:
    """The pages by number, and at the right what the curves are measured by."""
    return two_ends(tabs(pages, page, palette), plain(f"{right} ", palette.muted), width, "")


def measured_words(look: Look, feed: Feed | None, charts: str) -> str:
    """The crosshair on every axis, else the axis; and which charts are shown."""
    moment = "" if feed is None else moment_words(look, feed)
    return f"{moment or f'by {AXIS.get(look.x_kind, look.x_kind)}'}  {charts}".rstrip()


def idle_keys(chosen: Chosen, page: str) -> frozenset[str]:
    """The keys that do nothing to see. `page`: the one in sight, empty where all are."""
    hidden = {"compare_other"} if len(chosen.runs) < 3 else set()
    if page:
        hidden |= set().union(*(keys for name, keys in PAGE_KEYS.items() if name != page))
    return frozenset(hidden)


def told_apart(names: Sequence[str], width: int) -> list[str]:
    """Names in so many cells each: where they do not fit, what they all begin with gives way to an ellipsis."""
    if all(len(name) <= width for name in names):
        return [clean(name) for name in names]
    alike = list(itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False)))
    begun = names[0][: names[0][: len(alike)].rfind("-") + 1] if len(names) > 1 else ""
    return [middle(f"…{name[len(begun) :]}" if len(begun) > 1 else name, width) for name in names]


def nothing_rows(known: bool, palette: Palette, width: int) -> list[Text]:
    """What stands here while there are not two runs."""
    if not known:
        return [Text(" reading …", style=palette.muted)]
    rows = [Text("")]
    for text, style in (
        ("Two or more runs can be compared.", palette.strong),
        ("Mark them on the runs screen and make one of them the baseline, then come back.", palette.accent),
        ("From a shell:  hrm compare BASE OTHER ...", palette.muted),
    ):
        rows += wrap(text, width - 2, style, indent="  ")
    return rows


# Settings ---------------------------------------------------------------------------------------------------------


def config_rows(
    differences: Sequence[tuple[str, tuple[str, ...]]],
    lines: Sequence[RunLine],
    at: int,
    palette: Palette,
    width: int,
) -> list[Text]:
    """A table of what differs, a column a run as far as they fit: the baseline, the run held against it
    (at place `at`), the others. A value that is not the baseline's stands out."""
    if not differences:
        return [plain(" The recipes differ in nothing.", palette.muted, width)]
    longest = max(len(key) for key, _ in differences)
    key_width = max(8, min(longest, KEY_WIDTH, width - 2 * (LEAST_VALUE + 1) - 2))
    fitting = max(1, min(len(lines), (width - key_width - 2) // (LEAST_VALUE + 1)))
    order = [0, *([at] if 0 < at < len(lines) else []), *(n for n in range(1, len(lines)) if n != at)][:fitting]
    value_width = max(1, min(28, (width - key_width - 2) // fitting - 1))
    names = told_apart([line.run_id for line in lines], value_width - 2)
    head = Text(f" {'setting':<{key_width}} ", style=palette.muted, no_wrap=True, end="")
    for place in order:
        head.append(f" {f'{place + 1} {names[place]}':<{value_width}}", palette.muted)
    rows = [head]
    for key, values in differences:
        row = Text(f" {middle(key, key_width):<{key_width}} ", style=palette.text, no_wrap=True, end="")
        for place in order:
            style = palette.muted if values[place] == values[0] else palette.warn
            row.append(f" {middle(values[place], value_width):<{value_width}}", style)
        rows.append(row)
    left = len(lines) - fitting
    if left > 0:
        rows.append(plain(f" {left} more run{'s do' if left > 1 else ' does'} not fit here", palette.muted))
    for row in rows:
        row.truncate(max(0, width), overflow="ellipsis")
    return rows


# The verdict ------------------------------------------------------------------------------------------------------


def verdict_rows(answer: Answer | None, palette: Palette, width: int) -> list[Text]:
    """What `hrm compare` says of every arm against the control."""
    if answer is None:
        return [Text(" asking hrm compare …", style=palette.muted)]
    if not answer.ok:
        return wrap(answer.text, width - 1, palette.warn, indent="   ", first=" ▲ ")
    document: Any = answer.data
    control, tests = mapping(document, "control"), mapping(document, "tests")
    rows = [_score_row("control", control, palette, width)]
    scored = f"scored on {count(tests.get('pairs'))} tests of {count(tests.get('tasks'))} tasks"
    rows += wrap(f"{scored} ({string(tests, 'split') or ''}), the last step's weights", width - 1, palette.muted, " ")
    for arm in items(document, "arms"):
        rows += [Text(""), *_arm_rows(arm, palette, width)]
    notes = [note for note in items(document, "notes") if isinstance(note, str)]
    rows += [Text("")] if notes else []
    for note in notes[:20]:
        rows += wrap(note, width - 1, palette.muted, indent="   ", first=" · ")
    return rows


def _score_row(title: str, arm: object, palette: Palette, width: int) -> Text:
    score = mapping(arm, "score")
    row = Text.assemble((f" {title} ", palette.muted), plain(string(arm, "name") or "?", palette.strong))
    row.append(f"  exact {share(number(score, 'mean'))} %", palette.text)
    row.append(f"  best trivial {share(number(mapping(score, 'trivial'), 'value'))} %", palette.muted)
    seeds = len(items(arm, "seeds"))
    row.append(f"  {seeds} seed{'s' * (seeds != 1)}", palette.muted)
    row.no_wrap, row.end = True, ""
    row.truncate(width, overflow="ellipsis")
    return row


def _arm_rows(arm: object, palette: Palette, width: int) -> list[Text]:
    verdict = mapping(arm, "verdict")
    call = string(verdict, "call")
    style = {"better": palette.good, "worse": palette.bad}.get(call or "", palette.accent)
    rows = [_score_row("arm", arm, palette, width)]
    rows += wrap(string(verdict, "text") or "no verdict", width - 1, style, indent="   ", first=" → ")
    for text in (string(arm, "cannot_act"), string(mapping(arm, "plan_rule"), "text")):
        if text:
            rows += wrap(text, width - 1, palette.muted, indent="   ")
    trivial = share(number(mapping(mapping(arm, "score"), "trivial"), "value"))
    for point in items(arm, "equal"):
        at, by = number(point, "at"), string(point, "by") or ""
        if at is not None:
            where = duration(at) if by == "seconds" else count(at)
            values = " against ".join(_percent(number(point, side)) for side in ("arm", "control"))
            words = f"at {BY.get(by, clean(by))} ({where}): exact {values} (trivial {trivial}{PERCENT})"
            rows += wrap(words, width - 1, palette.text, indent="   ")
    return rows


def _percent(value: float | None) -> str:
    return "no validation yet" if value is None else f"{share(value)}{PERCENT}"


# Tests ------------------------------------------------------------------------------------------------------------


def paired_line(paired: PairedRuns | None, line: RunLine | None, trouble: str, palette: Palette, width: int) -> Text:
    """How many tests came out how, beside what the best trivial predictor solves of them."""
    if trouble or paired is None:
        return plain(f" {trouble or 'reading the predictions …'}", palette.warn if trouble else palette.muted, width)
    row = Text(" ", no_wrap=True, end="")
    for outcome, mark in MARKS.items():
        row.append(f"{mark} {len(paired.of(outcome))} {outcome}  ", outcome_style(outcome, palette))
    trivial = "" if line is None or line.trivial is None else f" (trivial {share(line.trivial)} %)"
    steps = " and ".join(count(step) for step in paired.steps)
    row.append(f"of {len(paired.tests)}{trivial}; tests of these two checkpoints, at {steps}", palette.muted)
    if paired.apart:
        row.append(f"; {paired.apart} tests in one of them only", palette.muted)
    row.truncate(width, overflow="ellipsis")
    return row


def lists_header(families_width: int, kind: str, family: str, palette: Palette, width: int) -> Text:
    """Above the two lists: what the columns of the left one are, and which tests the right one has."""
    room = _family_width(families_width)
    row = plain(f" {'family':<{room}}{'+':>4}{'−':>4}{'=':>4}{'·':>5}", palette.muted, max(0, families_width))
    row.append(" " * max(0, families_width - row.cell_len))
    which = {"changed": "tests gained or lost", "all": "all tests"}.get(kind, f"tests: {kind}")
    row.append_text(plain(f" {which}{f' of {family}' if family else ''}", palette.muted))
    row.truncate(width, overflow="ellipsis")
    return row


def _family_width(width: int) -> int:
    return max(8, min(26, width - 19))


def family_row(row: FamilyCount, palette: Palette, width: int) -> Text:
    """One family, or all of them."""
    room = _family_width(width)
    text = Text(f" {middle(row.family or ALL_FAMILIES, room - 1):<{room}}", style=palette.text, no_wrap=True, end="")
    for outcome, value, cells in (
        ("gained", row.gained, 4), ("lost", row.lost, 4), ("both", row.both, 4), ("neither", row.neither, 5),
    ):  # fmt: skip
        text.append(f"{value or '':>{cells}}", outcome_style(outcome, palette))
    text.truncate(width)
    return text


def family_counts(paired: PairedRuns | None) -> list[FamilyCount]:
    """All tests as one family of an empty name, then each family, the largest change first."""
    if paired is None:
        return []
    everything = {outcome: len(paired.of(outcome)) for outcome in MARKS}
    return [FamilyCount("", **everything), *count_families(paired.tests)]


def paired_row(test: PairedTest, palette: Palette, width: int) -> Text:
    """One test: how it came out, its name, its families."""
    style = outcome_style(test.outcome, palette)
    row = Text(f" {MARKS[test.outcome]} {test.outcome:<8}", style=style, no_wrap=True, end="")
    row.append_text(plain(f"{test.name:<13}", palette.text))
    row.append(" ")
    row.append_text(plain(", ".join(test.families), palette.muted))
    row.truncate(width, overflow="ellipsis")
    return row
