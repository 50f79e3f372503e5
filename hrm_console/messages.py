"""What the watching thread and the workers tell the app. Frozen values; handlers are in app.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from textual.message import Message

from hrm_console.rows.listing import RunLine

if TYPE_CHECKING:  # what reads rows is imported after the first frame
    from hrm_console.rows.feed import Batch


@final
@dataclass
class RunsRead(Message):
    """All runs of the folder, since something about them changed. `trouble` says why the folder cannot be read."""

    runs: tuple[RunLine, ...]
    trouble: str = ""


@final
@dataclass
class RunRead(Message):
    """New rows of a followed run."""

    batch: Batch


@final
@dataclass
class Done(Message):
    """Work in a thread has ended: what to do with its result, in the app's own thread."""

    then: Callable[[Any], None]
    result: Any


@final
@dataclass
class Failed(Message):
    """Work in a thread has failed."""

    reason: str
