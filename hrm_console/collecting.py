"""When Python looks for rings of dead objects: while nobody types, and never among what was there at the start.

Moments (start, settled, a key, a tick) -> the collector's thresholds, and its full rounds. A frame makes thousands of
small objects, so a full round came in the midst of keys and held one up for 60 to 140 ms; all rounds together took a
fifth of what keys cost. What most objects need, to go when nothing refers to them, is no part of this.
"""

from __future__ import annotations

import gc
import time
from typing import Final, final

# A round over young objects after so many new ones, one over the middle-aged after so many of those; full ones by rest.
YOUNG: Final = 5_000
MIDDLE: Final = 10
NEVER: Final = 1_000_000
REST_S: Final = 2.0
LATEST_S: Final = 300.0


def rarely() -> None:
    """From the start of the process on: no round until there is much to look at, no full one by itself."""
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


@final
class Collecting:
    """The full rounds of one console."""

    def __init__(self) -> None:
        self.typed_s = self.last_s = time.monotonic()

    def settled(self) -> None:
        """What is there now stays: modules, styles, the first screen. It is not looked through again."""
        gc.freeze()

    def typed(self) -> None:
        """Somebody is at the keys."""
        self.typed_s = time.monotonic()

    def tick(self) -> bool:
        """A full round, if there is anything new to look at and the keys rest, or have not for minutes."""
        now = time.monotonic()
        middle_aged = gc.get_count()[2]
        if not middle_aged or (now - self.typed_s < REST_S and now - self.last_s < LATEST_S):
            return False
        gc.collect()
        self.last_s = now
        return True
