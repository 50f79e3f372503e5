"""What the cursor of a list is on, held by a name, so that it stays on it when rows come or go above.

The cursor moves at once, and says so in a message, which may come after the next key and after the next drawing. So the
list is asked where its cursor is, wherever a key or a drawing needs it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar, final

from rich.text import Text

from hrm_console.widgets.lines import Choice

Key = TypeVar("Key", bound=Hashable)


@final
class Held(Generic[Key]):
    """A list and the keys of its rows. `key` may be set before a drawing, to have the cursor on it then."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.keys: tuple[Key, ...] = ()
        self.at = 0
        self._key: Key | None = None

    @property
    def key(self) -> Key | None:
        """The key of the row under the cursor."""
        cursor = self.choice.cursor
        if cursor != self.at and cursor < len(self.keys):
            self.at, self._key = cursor, self.keys[cursor]
        return self._key

    @key.setter
    def key(self, key: Key | None) -> None:
        self.at, self._key = self.choice.cursor, key

    def show(self, rows: Sequence[Text], keys: Sequence[Key]) -> None:
        """Draw these rows; the cursor stays on its key, or else in its place."""
        key = self.key
        self.choice.show(rows)
        self.keys = tuple(keys)
        if not self.keys:
            self._key = None
            return
        self.at = self.keys.index(key) if key in self.keys else min(self.at, len(self.keys) - 1)
        self._key = self.keys[self.at]
        self.choice.move_to(self.at)
