"""Which runs the runs screen shows, in which order, with which marks. No Textual here; tested alone.

the runs of the app + the session (filter, sort, marks, baseline) -> `View`. What cannot be understood of a filter is a
sentence in it, and all runs are shown then. The language is `hrm_core.runs.filtering`'s, the same as `hrm list`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from hrm_console.rows.listing import RunLine, line_facts
from hrm_console.session import Session
from hrm_core.errors import UserError
from hrm_core.runs.facts import NUMBERS, check_sort, in_order
from hrm_core.runs.filtering import EXAMPLES, FIELDS, Question, parse

WRITTEN = {
    "name": "name:night*",
    "exp": "exp:EXP-07",
    "state": "state:running",
    "alarm": "alarm:input_blind",
    "has": "has:best",
    "cfg.KEY": "cfg.optimizer=lion",
}


@final
@dataclass(frozen=True)
class View:
    """The runs that are shown, in order; `trouble` says what of the filter or the sort key is not understood."""

    lines: tuple[RunLine, ...] = ()
    trouble: str = ""


@final
class Chooser:
    """Applies a session to runs. A filter is taken apart again only when it or the list of runs has changed."""

    def __init__(self) -> None:
        self._asked: tuple[str, tuple[str, ...]] | None = None
        self._question: Question | None = None
        self._trouble = ""

    def view(self, runs: Sequence[RunLine], session: Session, now_s: float) -> View:
        """The view of these runs."""
        asked = session.filter, tuple(line.run_id for line in runs)
        if asked != self._asked:
            self._asked = asked
            self._question, self._trouble = understood(session.filter, runs)
        trouble, sort = self._trouble, session.sort
        if sort:
            try:
                check_sort(sort)
            except UserError as error:
                trouble, sort = trouble or error.message, ""
        if not session.filter and not sort:
            return View(tuple(runs), trouble)
        marked = frozenset(session.marked)
        pairs = [(line, line_facts(line, now_s, line.run_id in marked)) for line in runs]
        if self._question is not None:
            pairs = [pair for pair in pairs if self._question(pair[1])]
        if sort:
            pairs = in_order(pairs, sort, lambda pair: pair[1])
        return View(tuple(line for line, _ in pairs), trouble)


def understood(text: str, runs: Sequence[RunLine]) -> tuple[Question | None, str]:
    """The question of a filter, or None with why there is none."""
    recipes = [line.run_json.get("recipe") for line in runs] if "cfg." in text else []
    try:
        return parse(text, [recipe for recipe in recipes if isinstance(recipe, dict)]), ""
    except UserError as error:
        return None, error.message


def begun_term(text: str) -> str:
    """What a last word that is the beginning of a field's name may be meant to become: "va" -> "val>0.2 or 20%"."""
    word = text.rpartition(" ")[2].rpartition("|")[2].lstrip("-!").lower()
    for field in FIELDS if word else ():
        if field.lower().startswith(word):
            kind = NUMBERS[field][0] if field in NUMBERS else ""
            return f"{field}>{EXAMPLES[kind]}" if kind else WRITTEN.get(field, field)
    return ""


def next_sort(sort: str, keys: Sequence[str]) -> str:
    """The key after this one, of those of the columns in sight; after the last one the order of the folder ("")."""
    ring = ["", *keys]
    key = sort.removeprefix("-")
    return ring[(ring.index(key) + 1) % len(ring)] if key in ring else ring[0]


def reversed_sort(sort: str) -> str:
    """The same key the other way round; the order of the folder has one way only."""
    return sort.removeprefix("-") if sort.startswith("-") else f"-{sort}" if sort else ""


def list_words(session: Session) -> tuple[str, ...]:
    """The words after `hrm` that print what is shown."""
    words: tuple[str, ...] = ("list",)
    if session.filter:
        words += ("--filter", session.filter)
    return (*words, "--sort", session.sort) if session.sort else words
