"""One row of the table of actions: what a key does, in words and in code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Action:
    """One thing a key does.

    id: what a key map names it by; keys: in Textual's names, the first is shown; shown: how the footer writes it; call:
    the method `action_<call>` of the screen, or of the app where it begins with "app."; word: for the footer; sentence:
    for the help; screens: rooms where it holds; priority: also while a text field has the focus.
    """

    id: str
    keys: str
    shown: str
    call: str
    word: str
    sentence: str
    screens: tuple[str, ...]
    footer: bool = True
    priority: bool = False
