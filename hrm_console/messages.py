"""What the watching thread and the workers tell the app. Frozen values; handlers are in app.py and the screens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from textual.message import Message

from hrm_console.feed import Batch
from hrm_console.launching import Outcome
from hrm_console.listing import RunLine


@final
@dataclass
class RunsRead(Message):
    """All runs of the folder, since something about them changed. `trouble` says why the folder cannot be read."""

    runs: tuple[RunLine, ...]
    trouble: str = ""


@final
@dataclass
class RunRead(Message):
    """New rows of the followed run."""

    batch: Batch


@final
@dataclass
class Started(Message):
    """How the command that starts a run ended."""

    run_id: str
    outcome: Outcome


@final
@dataclass
class Steered(Message):
    """A run was asked for something, or resumed: which, what, and how it went."""

    run_id: str
    request: str
    outcome: Outcome
