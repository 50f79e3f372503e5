"""Room `runs`: the filter language of `hrm list --filter` and of the console's runs screen.

text -> a question that Facts answer with yes or no. Terms stand side by side and must all hold; `|` separates groups of
which one must hold; `-` or `!` before a term turns it round. A comparison of a value that a run does not have does not
hold. What cannot be understood is a UserError of one sentence with the word and the remedy. The language in examples:

    exp:EXP-07 state:running,paused val>20% cfg.optimizer=lion -alarm      name:night*  step>=10k  eta<2h | has:best
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Final

from hrm_core.errors import UserError
from hrm_core.runs.facts import NUMBERS, Facts
from hrm_core.runs.files import Row
from hrm_core.runs.reader import ENDED, STATES
from hrm_core.runs.recipe_keys import read_key, resolve_key, tree_of
from hrm_core.runs.text import clean

Question = Callable[[Facts], bool]

MOST_CHARACTERS: Final = 400
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "live": tuple(state for state in STATES if state not in ENDED and state != "lost"),
    "ended": ENDED,
}
OTHER_NAMES: Final = {
    "exact": "val", "score": "best", "experiment": "exp", "run": "name", "id": "name", "progress": "done",
    "seg/s": "speed", "left": "eta", "is": "state",
}  # fmt: skip
WORDS: Final = ("name", "exp", "state", "alarm", "has")
FLAGS: Final = ("alarm", "marked")
FIELDS: Final = (*WORDS, "marked", *NUMBERS, "cfg.KEY")
UNITS: Final[dict[str, dict[str, float]]] = {
    "share": {"": 1.0, "%": 0.01},
    "count": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9},
    "number": {"": 1.0},
    "time": {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0},
}
EXAMPLES: Final = {"share": "0.2 or 20%", "count": "10k", "number": "0.5", "time": "90s, 20m, 2h or 3d"}
_ORDER: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_TERM: Final = re.compile(r"([A-Za-z][A-Za-z0-9_./-]*?)(<=|>=|!=|==|[:=<>])(.*)", re.DOTALL)
_NUMBER: Final = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)([A-Za-z%]*)", re.ASCII)


def parse(text: str, recipes: Iterable[Row] = ()) -> Question:
    """The question that `text` asks; one of no words holds for every run.

    `recipes`: those of the runs it will be asked of, against which the keys of `cfg.` are looked up. UserError (2).
    """
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"the filter has {len(text)} characters: use at most {MOST_CHARACTERS}.")
    # "val > 0.2" is what people write; a blank beside a comparison means nothing else.
    joined = re.sub(r"\s*(<=|>=|!=|==|[=<>])\s*", r"\1", text.strip())
    if not joined:
        return lambda facts: True
    tree = tree_of(recipes) if "cfg." in joined else {}
    groups = []
    for part in joined.split("|"):
        terms = [_signed(word, tree) for word in part.split()]
        if not terms:
            raise UserError("'|' has nothing on one side: write a term there, or take it away.")
        groups.append(terms)
    return lambda facts: any(all(term(facts) for term in terms) for terms in groups)


def _signed(word: str, tree: Row) -> Question:
    bare = word.lstrip("-!")
    if not bare:
        raise UserError(f"{_said(word)} turns nothing round: write it right before a term, as in -alarm.")
    term = _term(bare, tree)
    return (lambda facts: not term(facts)) if (len(word) - len(bare)) % 2 else term


def _said(word: str) -> str:
    return f"'{clean(word[:60])}'"


def _term(word: str, tree: Row) -> Question:
    found = _TERM.fullmatch(word)
    if found is None:
        return _bare(word, tree)
    name, sign, value = found.groups()
    if not value:
        raise UserError(f"{_said(word)} ends where its value should be: write {_example(name)}.")
    if name.startswith("cfg."):
        return _config(word, name.removeprefix("cfg."), sign, value, tree)
    low = name.lower()
    field = OTHER_NAMES.get(low, low)
    if field in NUMBERS:
        return _numeric(word, field, sign, value)
    if field in WORDS:
        if sign in _ORDER:
            raise UserError(f"{_said(word)} compares words: write {field}:{clean(value[:40])}.")
        return _negated(sign, _wordy(word, field, value))
    raise UserError(f"{_said(word)}: there is no field {clean(name[:40])}; {_nearest(low)}")


def _example(name: str) -> str:
    if name in NUMBERS:
        return f"{name}>{EXAMPLES[NUMBERS[name][0]]}"
    return {"state": "state:running", "exp": "exp:EXP-07", "alarm": "alarm:input_blind", "has": "has:best"}.get(
        name, f"{clean(name[:40])}:VALUE"
    )


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name[:40], [*FIELDS, *OTHER_NAMES], n=1)
    return f"did you mean {near[0]}?" if near else "there are " + ", ".join(FIELDS) + "."


def _negated(sign: str, question: Question) -> Question:
    return (lambda facts: not question(facts)) if sign == "!=" else question


def _bare(word: str, tree: Row) -> Question:
    """A word alone: a flag, a key of the recipe that is on, or a part of the name or the experiment."""
    if word in FLAGS:
        return (lambda facts: bool(facts.alarms)) if word == "alarm" else (lambda facts: facts.marked)
    if word.startswith("cfg."):
        path = resolve_key(word.removeprefix("cfg."), tree)
        return lambda facts: path is not None and read_key(facts.recipe, path) not in (None, False, "none")
    holds = _looks_like(word)
    return lambda facts: holds(facts.run_id) or holds(facts.experiment)


def _looks_like(pattern: str, part: bool = True) -> Callable[[str], bool]:
    """Whether a text contains (or, without `part`, is) the pattern; * ? and [ mean what they mean in a shell."""
    low = pattern.lower()
    if any(sign in low for sign in "*?["):
        return lambda text: fnmatchcase(text.lower(), low)
    return (lambda text: low in text.lower()) if part else (lambda text: low == text.lower())


def _wordy(word: str, field: str, value: str) -> Question:
    choices = [choice for choice in value.split(",") if choice]
    if field == "state":
        wanted = frozenset(state for choice in choices for state in _states(word, choice.lower()))
        return lambda facts: facts.state in wanted
    if field == "has":
        for choice in choices:
            _check_has(word, choice.lower())
        named = frozenset(OTHER_NAMES.get(choice.lower(), choice.lower()) for choice in choices)
        return lambda facts: bool(named & facts.has)
    tests = [_looks_like(choice, part=field != "exp") for choice in choices]
    if field == "alarm":
        return lambda facts: any(test(name) for test in tests for name in facts.alarms)
    if field == "exp":
        return lambda facts: any(test(facts.experiment) for test in tests)
    return lambda facts: any(test(facts.run_id) for test in tests)


def _states(word: str, state: str) -> tuple[str, ...]:
    if state in GROUPS:
        return GROUPS[state]
    if state in STATES:
        return (state,)
    begun = tuple(known for known in STATES if known.startswith(state))
    if len(state) >= 3 and begun:
        return begun
    near = difflib.get_close_matches(state[:40], [*STATES, *GROUPS], n=1)
    remedy = f"did you mean {near[0]}?" if near else "use one of " + ", ".join((*STATES, *GROUPS)) + "."
    raise UserError(f"{_said(word)}: there is no state {clean(state[:40])!r}; {remedy}")


def _check_has(word: str, what: str) -> None:
    there = [*(name for name in NUMBERS if name != "alarms"), "alarm", "result", "checkpoint"]
    if OTHER_NAMES.get(what, what) not in there:
        near = difflib.get_close_matches(what[:40], there, n=1)
        remedy = f"did you mean {near[0]}?" if near else "use one of " + ", ".join(there) + "."
        raise UserError(f"{_said(word)}: nothing is called {clean(what[:40])!r}; {remedy}")


def _numeric(word: str, field: str, sign: str, value: str) -> Question:
    kind = NUMBERS[field][0]
    found = _NUMBER.fullmatch(value)
    unit = None if found is None else UNITS[kind].get(found[2].lower())
    if found is None or unit is None:
        raise UserError(f"{_said(word)}: {clean(value[:40])!r} is no {kind}; write {field}>{EXAMPLES[kind]}.")
    wanted = float(found[1]) * unit
    return _compared(lambda facts: facts.numbers.get(field), sign, wanted)


def _compared(get: Callable[[Facts], float | None], sign: str, wanted: float) -> Question:
    def holds(facts: Facts) -> bool:
        value = get(facts)
        if value is None:
            return False
        # 0.3 written as 30% is another float than 0.3; 1e-9 of either tells nobody's runs apart.
        equal = abs(value - wanted) <= 1e-9 * max(abs(value), abs(wanted))
        if sign in ("=", "==", ":"):
            return equal
        if sign == "!=":
            return not equal
        return equal if equal and "=" in sign else (not equal and _ORDER[sign](value, wanted))

    return holds


def _config(word: str, key: str, sign: str, value: str, tree: Row) -> Question:
    path = resolve_key(key, tree)
    if sign in _ORDER:
        found = _NUMBER.fullmatch(value)
        if found is None or found[2]:
            raise UserError(f"{_said(word)}: {clean(value[:40])!r} is no number; write cfg.{clean(key[:40])}>0.001.")
        return _compared(lambda facts: _config_number(facts, path), sign, float(found[1]))
    choices = [choice for choice in value.split(",") if choice]

    def equal(facts: Facts) -> bool:
        held = None if path is None else read_key(facts.recipe, path)
        return path is not None and any(_same(held, choice) for choice in choices)

    return _negated(sign, equal)


def _config_number(facts: Facts, path: tuple[str, ...] | None) -> float | None:
    held = None if path is None else read_key(facts.recipe, path)
    return float(held) if isinstance(held, (int, float)) and not isinstance(held, bool) else None


def _same(held: object, written: str) -> bool:
    """Whether a value of a recipe is what a person wrote: true and none as words, numbers by value, lists by member."""
    low = written.lower()
    if held is None or isinstance(held, bool):
        return low in {None: ("none", "null", "off"), True: ("true", "yes", "on"), False: ("false", "no", "off")}[held]
    if isinstance(held, (int, float)):
        found = _NUMBER.fullmatch(written)
        return found is not None and not found[2] and abs(float(found[1]) - held) <= 1e-9 * abs(held)
    if isinstance(held, list):
        return any(_same(member, written) for member in held[:100])
    return isinstance(held, str) and _looks_like(written, part=False)(held)
