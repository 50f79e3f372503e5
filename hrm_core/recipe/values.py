"""Values as people type them (`256`, `3e-4`, `true`, `none`, `6h`, `[7]`, `10,14`), and what is wrong with them.

Recipe room; free of torch. Text -> Python value for a key (TOML's rules, without the need for quotes), Python value ->
the text that a person would type, pydantic's error -> one line.
"""

from __future__ import annotations

from types import NoneType
from typing import Any

from pydantic import ValidationError

from hrm_core.recipe.keys import Leaf, leaves, nearest
from hrm_core.runs.text import clean

_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
}
_KINDS |= {"string_type": "text", "tuple_type": "a list", "missing": "complete", "too_long": "complete"}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _scalar(text: str, types: frozenset[type]) -> Any:
    lowered = text.lower()
    if NoneType in types and lowered in ("none", "null"):
        return None
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    if lowered in ("true", "false") and (bool in types or str not in types):
        return lowered == "true"
    if types & {int, float, tuple}:
        number = _number(text)
        if number is not None:
            return number
    return text


def parse_value(leaf: Leaf, text: str) -> Any:
    """Text of an override -> value for that key. Whether the key may have it is for the schema to say."""
    text = text.strip()
    if leaf.group is not None:
        lowered = text.lower()
        return True if lowered in ("on", "true") else None if lowered in ("none", "null", "off", "false") else text
    if text in leaf.choices:
        return text
    if tuple in leaf.types:
        inner = text[1:-1] if text[:1] + text[-1:] in ("[]", "()") else text
        return tuple(_scalar(part.strip(), leaf.types) for part in inner.split(",") if part.strip())
    return _scalar(text, leaf.types)


def show_value(value: Any) -> str:
    """Value -> the text that an override would take."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ",".join(show_value(part) for part in value)
    return str(value)


def _shown(value: Any) -> str:
    """A value that was refused, for a sentence: one line of at most 80 characters without controls."""
    try:
        return clean(show_value(value)[:80])
    except (ValueError, RecursionError):  # a whole number of thousands of digits
        return "(a value beyond reason)"


def _reason(kind: str, error: Any, leaf: Leaf | None) -> str:
    context = error.get("ctx", {})
    if kind == "literal_error" and leaf is not None:
        choices = [show_value(choice) for choice in leaf.choices]
        return f"is none of {', '.join(choices)}{nearest(_shown(error['input']), choices)}"
    if kind in _BOUNDS:
        name, word = _BOUNDS[kind]
        return f"is out of bounds: {word} {context[name]}"
    if kind == "value_error":
        return f"is not allowed: {clean(str(context['error'])[:300])}"
    if kind == "finite_number":
        return "is not finite"
    return f"is not {_KINDS[kind]}" if kind in _KINDS else f"is not allowed: {error['msg']}"


def describe(problem: ValidationError) -> str:
    """The first thing that pydantic found wrong, as one line: key, value, reason, what the setting is."""
    error = problem.errors(include_url=False)[0]
    kind = error["type"]
    if not error["loc"]:
        return clean(str(error.get("ctx", {}).get("error", error["msg"]))[:600])
    key = ""
    for part in error["loc"]:
        longer = f"{key}.{part}" if key else str(part)
        known = any(name == longer or name.startswith(longer + ".") for name in leaves())
        if not known and kind != "extra_forbidden":
            break
        key = longer
    if kind == "extra_forbidden":
        return f"{clean(key[:80])} is no setting{nearest(key[:200], leaves())}"
    leaf = leaves().get(key)
    about = f" ({leaf.field.description})" if leaf is not None and kind != "value_error" else ""
    return f"{key}={_shown(error['input'])} {_reason(kind, error, leaf)}{about}"
