"""Every technique with small settings that act within 20 steps, and settings with which it must change nothing."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """`neutral`: overrides that leave the technique on and without effect; None where there is no such setting."""

    on: tuple[str, ...]
    neutral: tuple[str, ...] | None


# Name -> case. One line a technique, in the order of `hrm_core/techniques/compose.py`.
CASES: dict[str, Case] = {}
