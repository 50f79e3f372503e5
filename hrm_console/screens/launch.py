"""The launch form: an experiment in words, a preset, overrides checked as they are typed, and Start.

Shows hrm_core.recipe's experiments through recipes.py, called in a thread. Start runs `hrm run ... --detach` as a child
process and opens the run's screen when it is up; what the child says is shown when it is not. Keys: actions.py,
"launch".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label

from hrm_console.actions import bindings_of
from hrm_console.launching import Outcome, run_argv, shell_line, split_overrides
from hrm_console.screens.base import Room
from hrm_console.screens.launch_words import Answered, Form, change_rows, experiment_row, experiment_rows, verdict_rows
from hrm_console.screens.run import RunScreen
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.cycle import Cycle
from hrm_console.widgets.lines import Choice, Rows
from hrm_console.widgets.press import Press
from hrm_core.errors import UserError
from hrm_core.runs.layout import check_name, new_run_id

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp
    from hrm_console.launch_device import Machine
    from hrm_console.recipes import Card


@final
@dataclass
class Loaded(Message):
    """The experiments, and what this machine has."""

    cards: tuple[Card, ...]
    machine: Machine


@final
class KeySuggester(Suggester):
    """Completes the last word of the overrides to a setting or one of its choices."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        from hrm_console.recipes import completed

        return completed(value)


@final
class LaunchScreen(Room):
    """The form. Checks run one at a time in a thread; the last form typed always gets its answer."""

    ROOM = "launch"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__()
        self.cards: tuple[Card, ...] = ()
        self.machine: Machine | None = None
        self.asked: Form | None = None
        self.answer: Answered | None = None
        self.starting = ""
        self.failure = ""
        self.title_bar = Bar(self._title, id="title")
        self.experiments = Choice(id="experiments")
        self.about = Rows(id="about", focusable=False)
        self.preset = Cycle(id="preset")
        self.overrides = Input(id="overrides", compact=True, placeholder="a.b=c ...", select_on_focus=False)
        self.verdict = Rows(id="verdict", focusable=False)
        self.name_field = Input(
            id="name", compact=True, placeholder="chosen for you", max_length=64, select_on_focus=False
        )
        self.start_button = Press("Start  F5", id="start")
        self.changes = Rows(id="changes")

    def compose(self) -> ComposeResult:
        yield self.title_bar
        with Horizontal(id="form"):
            yield self.experiments
            with Vertical(id="fields"):
                yield self.about
                yield Horizontal(Label("preset", markup=False), self.preset, classes="field")
                yield Horizontal(Label("overrides", markup=False), self.overrides, classes="field")
                yield self.verdict
                yield Horizontal(Label("name", markup=False), self.name_field, classes="field")
                yield Horizontal(Label("", markup=False), self.start_button, classes="field")
                yield self.changes
        yield Bar(self.keys_text, id="keys")

    def on_mount(self) -> None:
        self.changes.border_title = "difference from EXP-00"
        self.about.show([Text("reading the experiments …", style=self.app.palette.muted)])
        self.app.in_background(self._load)

    def runs_changed(self) -> None:
        """The app has read the folder."""
        self.title_bar.update()
        self.draw()

    def feed_changed(self) -> None:
        """Nothing of the form depends on a run's rows."""

    def shell_words(self) -> tuple[str, ...]:
        form = self.form()
        return ("experiments",) if form is None else ("run", form[0], f"preset={form[1]}", *form[2].split())

    def on_screen_resume(self) -> None:
        self.runs_changed()

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def _title(self, width: int) -> Text:
        return self.title_text("launch", width)

    # In a thread ------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        from hrm_console.launch_device import this_machine
        from hrm_console.recipes import cards

        self.post_message(Loaded(cards(), this_machine()))

    def _checker(self, form: Form, cursor: int) -> Callable[[], None]:
        machine = self.machine

        def work() -> None:
            from hrm_console.recipes import check, helpful

            self.post_message(Answered(form, check(*form, machine), helpful(form[2], cursor)))

        return work

    # What the form says -----------------------------------------------------------------------------------------------

    @property
    def has_gpu(self) -> bool:
        """Whether this machine has one, as far as is known."""
        return self.machine is None or self.machine.has_gpu

    @property
    def card(self) -> Card | None:
        """The experiment under the cursor."""
        at = self.experiments.cursor
        return self.cards[at] if at < len(self.cards) else None

    def form(self) -> Form | None:
        """Experiment, preset, overrides; None before the experiments are known."""
        card = self.card
        return None if card is None else (card.name, self.preset.value, self.overrides.value)

    def ask(self) -> None:
        """Have the form checked, unless that is under way; the answer asks again if the form has changed since."""
        form = self.form()
        if form is not None and self.asked is None:
            self.asked = form
            self.app.in_background(self._checker(form, self.overrides.cursor_position))

    def problem_of_name(self) -> str:
        """What is wrong with the name, or nothing."""
        name = self.name_field.value
        if not name:
            return ""
        try:
            check_name(name)
        except UserError as error:
            return error.message
        return f"{name} is there already; choose another name" if self.app.line_of(name) is not None else ""

    def problem(self) -> str:
        """Why this form cannot start, or nothing."""
        return (self.answer.checked.problem if self.answer is not None else "") or self.problem_of_name()

    def draw(self) -> None:
        """Draw everything that depends on the form."""
        card, palette, about = self.card, self.app.palette, self.about
        if card is None:
            return
        width = about.size.width
        rows = experiment_rows(card, palette, width)
        about.show(rows)
        about.styles.height = min(len(rows), max(4, self.size.height - 16))
        self._draw_verdict(width)
        changes = self.changes
        if self.answer is not None:
            changes.show(change_rows(self.answer.checked, card, palette, changes.size.width))
        self.start_button.set_ready(not (self.problem() or self.starting or self.answer is None))
        for bar in self.query(Bar):
            bar.update()

    def _draw_verdict(self, width: int) -> None:
        palette, verdict = self.app.palette, self.verdict
        typing = self.overrides.has_focus
        rows = verdict_rows(
            self.starting, self.failure or self.problem(), self.answer, self.has_gpu, palette, width, typing
        )
        verdict.show(rows)
        verdict.styles.height = max(1, len(rows))

    # What happens -----------------------------------------------------------------------------------------------------

    @on(Loaded)
    def loaded(self, message: Loaded) -> None:
        self.cards, self.machine = message.cards, message.machine
        self.experiments.show([experiment_row(card, self.app.palette) for card in self.cards])
        self.overrides.suggester = KeySuggester()
        self.choose_experiment()

    @on(Answered)
    def answered(self, message: Answered) -> None:
        self.asked = None
        self.answer = message
        if message.form != self.form():
            self.ask()
        self.draw()

    @on(Choice.Moved)
    def choose_experiment(self) -> None:
        card = self.card
        if card is None:
            return
        cycle = self.preset
        small = not self.has_gpu and "cpu" in card.presets
        value = cycle.value if cycle.value in card.presets else "cpu" if small else card.presets[0]
        cycle.offer(card.presets, value)
        self.changed()

    @on(Choice.Chosen)
    def experiment_chosen(self) -> None:
        self.overrides.focus()

    @on(Cycle.Changed)
    @on(Input.Changed)
    def changed(self) -> None:
        self.failure = ""
        self.ask()
        self.draw()

    @on(Input.Submitted)
    def submitted(self, message: Input.Submitted) -> None:
        (self.name_field if message.input is self.overrides else self.start_button).focus()

    @on(Press.Pressed)
    def pressed(self) -> None:
        self.action_start()

    def on_descendant_focus(self) -> None:
        self.draw()

    def action_preset(self, step: int) -> None:
        self.preset.action_step(step)

    def action_start(self) -> None:
        form, answer = self.form(), self.answer
        if self.starting or form is None:
            return
        if answer is None or answer.form != form or self.problem():
            self.app.say(self.problem() or "still checking; press again", bad=True)
            return
        name = self.name_field.value or new_run_id(form[0])
        argv = run_argv(form[0], (f"preset={form[1]}", *split_overrides(form[2])), name, self.app.runs_dir)
        self.starting = f"starting: {shell_line(argv)}"
        self.failure = ""
        self.app.steering.start_run(name, argv)
        self.draw()

    def started(self, run_id: str, outcome: Outcome) -> None:
        """How the start went."""
        self.starting = ""
        if outcome.ok:
            self.app.switch_screen(RunScreen(run_id))
        else:
            self.failure = outcome.text
            self.draw()

    def action_back(self) -> None:
        self.dismiss()
