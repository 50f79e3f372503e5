"""The launch form: an experiment in words, a preset, overrides checked as they are typed, and what it will take.

Shows hrm_core.recipe's experiments and settings through recipes.py and overrides.py, called in a thread. Start, queue
and extend run an `hrm` command as a child process (launch_start.py); the run's screen is opened when it is up, and what
the child says is shown when it is not. Keys: actions.py, "launch".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label

from hrm_console.actions import bindings_of
from hrm_console.launching import Outcome
from hrm_console.screens import launch_start
from hrm_console.screens.base import Room
from hrm_console.screens.launch_checks import Loaded, checker, load
from hrm_console.screens.launch_fields import NameField, OverridesField, helped
from hrm_console.screens.launch_settings import SettingsList
from hrm_console.screens.launch_words import (
    Answered,
    Form,
    candidate_rows,
    change_rows,
    experiment_row,
    experiment_rows,
    longer_rows,
    verdict_rows,
)
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.cycle import Cycle
from hrm_console.widgets.lines import Choice, Rows
from hrm_console.widgets.press import Press

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp
    from hrm_console.views.launch.machine import Machine
    from hrm_console.views.launch.recipes import Card

OTHER_ROWS = 16
IDLE_KEYS = frozenset({"queue_run", "save_mine", "preset_next", "all_settings", "find_setting", "own_value"})
TAKES = "what it takes, and the difference from EXP-00"
AS_IT_WAS = "as it was before the mistake"


@final
class LaunchScreen(Room):
    """The form. Checks run one at a time in a thread; the last form typed always gets its answer.

    `experiment`, `overrides` and `name` fill it in; `source` is a snapshot (RUN@best) whose weights the run starts
    from; `extend` is the name of a run that is to be made longer: the form then asks for its new length alone.
    """

    ROOM = "launch"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(
        self, experiment: str = "", overrides: str = "", source: str = "", name: str = "", extend: str = ""
    ) -> None:
        super().__init__()
        self.wanted = experiment
        self.source = source
        self.extend = extend
        self.cards: tuple[Card, ...] = ()
        self.machine: Machine | None = None
        self.asked: Form | None = None
        self.answer: Answered | None = None
        self.starting = self.failure = ""
        self.experiments = Choice(id="experiments")
        helped(self.experiments, "Every experiment, your own (marked *) first. Enter goes on to the overrides.")
        self.settings_list = SettingsList(id="settings-list")
        self.about = Rows(id="about", focusable=False)
        self.preset = Cycle(id="preset")
        self.overrides = OverridesField(overrides, id="overrides")
        self.verdict = Rows(id="verdict", focusable=False)
        self.name_field = NameField(name, id="name")
        self.weights = Cycle(id="weights")
        self.start_button = Press("Start  F5", id="start")
        self.queue_button = Press("Queue  F6", id="queue")
        self.save_button = Press("Save  F7", id="save")
        self.changes = Rows(id="changes")
        helped(self.changes, "What the run will take, where the numbers come from, and its settings beside EXP-00's.")

    def compose(self) -> ComposeResult:
        yield Bar(self._title, id="title")
        with Horizontal(id="form"):
            yield self.experiments
            yield self.settings_list
            with Vertical(id="fields"):
                yield self.about
                yield Horizontal(Label("preset", markup=False), self.preset, classes="field", id="preset-row")
                yield Horizontal(Label("overrides", markup=False), self.overrides, classes="field")
                yield self.verdict
                yield Horizontal(Label("start from", markup=False), self.weights, classes="field", id="weights-row")
                yield Horizontal(Label("name", markup=False), self.name_field, classes="field", id="name-row")
                buttons = (self.start_button, self.queue_button, self.save_button)
                yield Horizontal(Label("", markup=False), *buttons, classes="field", id="buttons")
                yield self.changes
        yield Bar(self._keys, id="keys")

    def on_mount(self) -> None:
        self.changes.border_title = TAKES
        launch_start.begin(self)
        self.app.in_background(lambda: load(self.post_message))

    def runs_changed(self) -> None:
        """The app has read the folder."""
        self.draw()

    def feed_changed(self) -> None:
        """Nothing of the form depends on a run's rows."""

    def shell_words(self) -> tuple[str, ...]:
        return launch_start.shell_words(self)

    def on_screen_resume(self) -> None:
        self.runs_changed()

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def _title(self, width: int) -> Text:
        return self.title_text("extend" if self.extend else "launch", width)

    def _keys(self, width: int) -> Text:
        own = frozenset() if self.on_settings else frozenset({"own_value"})
        return self.keys_text(width, IDLE_KEYS if self.extend else own)

    # What the form says -----------------------------------------------------------------------------------------------

    @property
    def on_settings(self) -> bool:
        """Whether all settings are shown in place of the experiments."""
        return self.has_class("-settings")

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
        """What is checked: experiment, preset, overrides with the value that is being typed; None before the
        experiments are known."""
        card = self.card
        if card is None:
            return None
        if self.extend:
            return (self.extend, "", self.overrides.value)
        return (card.name, self.preset.value, launch_start.tried(self))

    def ask(self) -> None:
        """Have the form checked, unless that is under way; the answer asks again if the form has changed since."""
        form = self.form()
        if form is not None and self.asked is None:
            self.asked = form
            self.app.in_background(checker(self, form))

    def problem(self) -> str:
        """Why this form cannot start, or nothing."""
        return (self.answer.checked.problem if self.answer is not None else "") or launch_start.problem_of_name(self)

    def draw(self) -> None:
        """Draw everything that depends on the form."""
        card, palette, about = self.card, self.app.palette, self.about
        for bar in self.query(Bar):
            bar.update()
        if card is None:
            return
        width = max(about.size.width, self.verdict.size.width)
        line = self.app.line_of(self.extend)
        self.experiments.show([experiment_row(one, palette) for one in self.cards])
        rows = longer_rows(line, self.extend, palette, width) if self.extend else experiment_rows(card, palette, width)
        about.show(rows)
        about.styles.height = min(len(rows), max(4, self.size.height - OTHER_ROWS - self.has_class("-forking")))
        self._draw_verdict(width)
        changes = self.changes
        if self.answer is not None:
            changes.border_title = AS_IT_WAS if self.answer.checked.problem and not self.answer.checked.size else TAKES
            if changes.border_title == TAKES or not changes.rows:
                changes.show(change_rows(self.answer.checked, card, palette, changes.size.width))
            self.settings_list.show(self.answer.checked)
        ready = not (self.problem() or self.starting or self.answer is None)
        for button in (self.start_button, self.queue_button, self.save_button):
            button.set_ready(ready)

    def _draw_verdict(self, width: int) -> None:
        palette, verdict, field = self.app.palette, self.verdict, self.overrides
        typing = field.has_focus
        rows = candidate_rows(field.candidates, field.at, palette, width) if typing and not self.starting else []
        # A key that is half typed is no mistake yet, although nothing can start with it.
        problem = self.failure or ("" if rows else self.problem())
        rows += verdict_rows(self.starting, problem, self.answer, self.has_gpu, palette, width, typing)
        verdict.show(rows)
        verdict.styles.height = max(1, len(rows))

    # What happens -----------------------------------------------------------------------------------------------------

    @on(Loaded)
    def loaded(self, message: Loaded) -> None:
        self.cards, self.machine = message.cards, message.machine
        for problem in message.problems:
            self.app.say(f"left out: {problem}", bad=True)
        launch_start.fill(self, message.infos)

    @on(Answered)
    def answered(self, message: Answered) -> None:
        self.asked = None
        self.answer = message
        if message.form != self.form():
            self.ask()
        self.draw()

    @on(Choice.Moved)
    def choose_experiment(self) -> None:
        launch_start.offer_presets(self)
        self.changed()

    @on(Choice.Chosen)
    def experiment_chosen(self) -> None:
        self.overrides.focus()

    @on(Cycle.Changed)
    @on(Input.Changed)
    @on(SettingsList.Trying)
    def changed(self) -> None:
        self.failure = ""
        self.ask()
        self.draw()

    @on(SettingsList.Wanted)
    def wants(self, message: SettingsList.Wanted) -> None:
        launch_start.set_value(self, message.key, message.value)

    @on(Input.Submitted)
    def submitted(self, message: Input.Submitted) -> None:
        follows = self.name_field if self.name_field.is_on_screen and not self.extend else self.start_button
        (follows if message.input is self.overrides else self.start_button).focus()

    @on(Press.Pressed)
    async def pressed(self, message: Press.Pressed) -> None:
        await self.run_action({self.queue_button: "queue", self.save_button: "save"}.get(message.press, "start"))

    @on(OverridesField.Suggested)
    @on(events.DescendantBlur)  # a field may lose the focus a moment after the next one has it
    def on_descendant_focus(self) -> None:
        self.draw()

    def action_preset(self, step: int) -> None:
        self.preset.action_step(step)

    def action_settings(self) -> None:
        launch_start.show_settings(self, not self.on_settings)

    def action_find(self) -> None:
        launch_start.show_settings(self, True)
        self.settings_list.find()

    def action_own_value(self) -> None:
        if self.on_settings:
            self.settings_list.own()

    def action_start(self) -> None:
        launch_start.start(self)

    def action_queue(self) -> None:
        launch_start.queue(self)

    def action_save(self) -> None:
        launch_start.save(self)

    def started(self, run_id: str, outcome: Outcome) -> None:
        """How the start went."""
        self.starting = ""
        if outcome.ok:
            from hrm_console.screens.run import RunScreen

            self.app.switch_screen(RunScreen(run_id))
        else:
            self.failure = outcome.text
            self.draw()

    def action_back(self) -> None:
        if self.on_settings:
            if not self.settings_list.cancel():
                launch_start.show_settings(self, False)
            return
        self.dismiss()
