"""When Python looks for rings of dead objects: while nobody types, and never among what was there at the start.

Moments (start, settled, a key, a tick) -> the collector's thresholds, and its full rounds. A frame makes thousands of
small objects, so a full round came in the midst of keys and held one up for 60 to 140 ms; all rounds together took a
fifth of what keys cost. But a screen that was left is a ring of 10,000 to 22,000 objects until then, and room that many
of them took never comes back whole: so the more there is, the shorter a rest of the keys is enough. After a round
Textual's memories of what was drawn are cut (drawn.py), and what is free between what is held goes back to the system.
What most objects need, to go when nothing refers to them, is no part of this.
"""

from __future__ import annotations

import gc
import time
from contextlib import suppress
from typing import Final, final

from hrm_console.drawn import forget_many

# A round over young objects after so many new ones, one over the middle-aged after so many of those; full ones by rest.
YOUNG: Final = 5_000
MIDDLE: Final = 10
NEVER: Final = 1_000_000
# So long a rest is enough where one screen was left since the last full round, or one round over the middle-aged was
# made; half of it after two, and so on.
REST_S: Final = 2.0
LEAST_REST_S: Final = 0.4
LATEST_S: Final = 60.0
MUCH: Final = 8  # screens and rounds after which no rest is waited for: some ten MiB


def rarely() -> None:
    """From the start of the process on: no round until there is much to look at, no full one by itself."""
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


@final
class Collecting:
    """The full rounds of one console."""

    def __init__(self) -> None:
        self.typed_s = self.last_s = time.monotonic()
        self.screens = 0  # left since the last full round

    def settled(self) -> None:
        """What is there now stays: modules, styles, the first screen. It is not looked through again."""
        gc.freeze()

    def typed(self) -> None:
        """Somebody is at the keys."""
        self.typed_s = time.monotonic()

    def left(self) -> None:
        """A screen has gone."""
        self.screens += 1

    def tick(self) -> bool:
        """A full round, if there is anything new and the keys rest, or have not for a minute, or it is much."""
        now = time.monotonic()
        much = self.screens + gc.get_count()[2]
        if not much:
            return False
        busy = now - self.typed_s < max(LEAST_REST_S, REST_S / much)
        if busy and much < MUCH and now - self.last_s < LATEST_S:
            return False
        self.screens = 0
        gc.collect()
        forget_many()
        trim()
        self.last_s = now
        return True


def trim() -> bool:
    """Give the system back what the C library holds free; False where it cannot (it is not glibc)."""
    import ctypes  # at the first rest of the keys, not at the start

    with suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).malloc_trim(0))
    return False
