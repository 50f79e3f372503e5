"""What has to be asked for when runs are compared: the verdict of `hrm compare`, and the tests of two of them, paired.

Chosen runs -> a child process and a thread -> `answer`, `paired`; `told` is called in the app's own thread when one has
come. What came for runs that are no longer the chosen ones is dropped. No Textual here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, final

from hrm_console.asking import Answer
from hrm_console.views.compare.state import Chosen
from hrm_core.errors import UserError
from hrm_core.runs.paired import PairedRuns, pair_runs

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

Pair = tuple[str, str]
UNSAYABLE = "a run whose name begins with a minus cannot be given to hrm compare"


@final
class Comparing:
    """`chosen` is changed by the screen, which then calls `ask`."""

    def __init__(self, app: Callable[[], ConsoleApp], told: Callable[[], None]) -> None:
        self._app = app
        self._told = told
        self.chosen = Chosen()
        self.answer: Answer | None = None
        self.paired: PairedRuns | None = None
        self.trouble = ""
        self._asked: tuple[str, ...] = ()
        self._paired_of: Pair = ("", "")

    def ask(self, again: bool = False) -> None:
        """Ask for what is not known of the chosen runs and not under way, or for all of it again."""
        chosen = self.chosen
        if not chosen.is_pair:
            return
        if again or self._asked != chosen.runs:
            self._asked, self.answer = chosen.runs, None
            self._ask_verdict(chosen.runs)
        pair = (chosen.baseline, chosen.other)
        if again or self._paired_of != pair:
            self._paired_of, self.paired, self.trouble = pair, None, ""
            self._app().in_background(lambda: self._pair(pair), self._took_pair)

    def _ask_verdict(self, runs: tuple[str, ...]) -> None:
        if any(name.startswith("-") for name in runs):
            self.answer = Answer(False, None, UNSAYABLE)
            return

        def take(answer: Answer) -> None:
            if runs == self._asked:
                self.answer = answer
                self._told()

        self._app().ask_hrm(["compare", *runs, "--runs", str(self._app().runs_dir)], take)

    def _pair(self, pair: Pair) -> tuple[Pair, PairedRuns | None, str]:
        """In a thread: what was found, or why nothing was."""
        first, second = (self._app().runs_dir / name for name in pair)
        try:
            return pair, pair_runs(first, second), ""
        except UserError as error:
            return pair, None, error.message

    def _took_pair(self, found: tuple[Pair, PairedRuns | None, str]) -> None:
        if found[0] == self._paired_of:
            _, self.paired, self.trouble = found
            self._told()
