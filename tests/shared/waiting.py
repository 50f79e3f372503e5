"""Waiting for something that another thread or process does, without knowing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

POLL_S = 0.01


def soon(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    """Whether it holds within this time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(POLL_S)
    return bool(condition())


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Until it holds; AssertionError where it never does."""
    assert soon(condition, seconds), f"waited {seconds:.0f} s in vain"
