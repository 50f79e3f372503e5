"""A disk that takes nothing: the run waits in the middle of a write, says so, and goes on when there is room.

Training room: an OSError of a write -> wait, then "try it again", or a UserError that ends the run. What could not be
written stays where it was, in the memory of whoever called; the write itself, tried again every few seconds, is the
test for room. While it waits the run is "paused" with the alarm `disk_full`, and only a stop is answered.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, final

from hrm_core.errors import UserError
from hrm_core.runs.disk import ADVICE, ALARM, is_trouble, trouble_words
from hrm_core.runs.records import utc_now
from hrm_core.runs.text import clean
from hrm_core.runs.writer import RunWriter

FIRST_WAIT_S = 0.1  # an error that comes once costs hardly more
LONGEST_WAIT_S = 3.0
POLL_S = 0.2
STOPPING_S = 10.0  # how long a run that is about to stop waits for room
STOPPED_S = 1.0  # how old the trouble is at least when a stop that comes meanwhile ends it


@final
@dataclass(frozen=True)
class Host:
    """What the trouble asks of the trainer. stop: why the run was asked to stop ("" if it was not), looked at anew at
    each call; step: where it is; show: writes the status with the trouble's alarm, or without once that is over."""

    stop: Callable[[], str]
    step: Callable[[], int]
    show: Callable[[], None]
    say: Callable[[str], None]


@final
class DiskTrouble:
    """The writer's answer to a full disk, and that of whoever else writes for the run, always in the run's thread."""

    def __init__(self, writer: RunWriter, host: Host) -> None:
        self.writer = writer
        self.host = host
        self.waited_s = 0.0  # all together, for clocks that are not to count it
        self.given_up = False
        self.sentence = ""  # of the alarm, while there is trouble
        self._waiting = False
        self._began_s = 0.0
        self._pause_s = FIRST_WAIT_S
        self._unsaid: list[Callable[[], None]] = []
        self._stop_before = ""

    def alarms(self) -> list[dict[str, Any]]:
        """For the status."""
        return [{"name": ALARM, "sentence": self.sentence, "advice": ADVICE}] if self.sentence else []

    def wait(self, error: OSError) -> bool:
        """Waits a little; True: try again. False: it is no such error, or it was met while saying so. UserError (1):
        the run is to end, and there is no room."""
        if self._waiting or self.given_up or not is_trouble(error):
            return False
        started = time.monotonic()
        self._waiting = True
        try:
            if not self.sentence:
                self._begin(error)
            end, self._pause_s = started + self._pause_s, min(2 * self._pause_s, LONGEST_WAIT_S)
            while (left := end - time.monotonic()) > 0:
                self._heed_stop()
                time.sleep(min(left, POLL_S))
            with suppress(OSError):
                self.host.show()
        finally:
            self._waiting = False
            self.waited_s += time.monotonic() - started
        return True

    def over(self) -> None:
        """What had failed went through: says so, and what could not be said before."""
        if not self.sentence:
            return
        self.sentence, waited_s = "", time.monotonic() - self._began_s
        unsaid, self._unsaid = self._unsaid, []
        for say in unsaid:
            say()
        step = self.host.step()
        self.writer.event("disk_room", step, waited_s=round(waited_s, 1))
        self.host.say(f"step {step}: there is room on the disk again after {waited_s:.1f} s; the run goes on")
        self.host.show()

    def _begin(self, error: OSError) -> None:
        self.sentence = sentence = f"{trouble_words(error)}; the run waits."
        self._began_s, self._pause_s = time.monotonic(), FIRST_WAIT_S
        self._stop_before = self.host.stop()
        step, began_utc, line = self.host.step(), utc_now(), f"ALARM {ALARM}: {sentence} {ADVICE}"
        # Told before anything is written: on a full disk there may be no event for a while.
        if self.writer.heard is not None:
            self.writer.heard("alarm", step, {"name": ALARM, "sentence": sentence})

        def event() -> None:
            self.writer.event("disk_full", step, sentence=sentence, advice=ADVICE, began_utc=began_utc)

        with suppress(OSError):  # whoever started it sees it there in any case, unless that is the same disk
            sys.stderr.write(f"{clean(line)}\n")
            sys.stderr.flush()
        for write in (event, lambda: self.writer.log(line)):
            try:
                write()
            except OSError:
                self._unsaid.append(write)  # until it is over

    def _heed_stop(self) -> None:
        stop = self.host.stop()
        patience_s = STOPPING_S if stop == self._stop_before else STOPPED_S
        if stop and time.monotonic() - self._began_s >= patience_s:
            self._give_up(stop)

    def _give_up(self, stop: str) -> NoReturn:
        self.given_up = True
        name = self.writer.layout.run_id
        raise UserError(
            f"{stop}, and there was no room to save: {self.sentence}\n"
            f"Its last checkpoint stays; make room, then `hrm resume {name}`.",
            1,
        )
