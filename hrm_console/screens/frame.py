"""What every screen has above and below: the title with the runs folder and the alarms, and the keys.

`title_line` and `keys_line` are pure: app's runs, a palette, a width -> one row of Text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from hrm_console.actions import EVERYWHERE, actions_of
from hrm_console.rows.listing import RunLine
from hrm_console.theme import Palette
from hrm_console.views.run.describe import can_resume, can_steer
from hrm_console.widgets.bar import two_ends
from hrm_console.words import middle, plain, state_style

COUNTED = ("running", "starting", "paused", "stopping", "stalled", "lost", "failed")


def folder_words(folder: Path) -> str:
    """The runs folder as a person writes it."""
    home = Path.home()
    return f"~/{folder.relative_to(home)}" if folder.is_relative_to(home) and folder != home else str(folder)


def title_line(
    name: str, folder: Path, runs: Sequence[RunLine], palette: Palette, width: int, queue_stopped: bool = False
) -> Text:
    """App, screen, folder at the left; how many runs are in which state, a stopped queue and alarms at the right."""
    roomy = width >= 100
    right = Text(no_wrap=True, end="")
    states = Counter(line.state for line in runs)
    for state in COUNTED:
        if states[state] and (roomy or (name.startswith("runs") and state in ("running", "lost"))):
            right.append(f" {states[state]} {state} ", state_style(state, palette))
    if queue_stopped:
        right.append(" ■ queue stopped ", palette.bad)
    alarms = sum(len(line.alarms) for line in runs if not line.ended)
    if alarms:
        right.append(f" ▲ {alarms} alarm{'s' * (alarms > 1)} ", palette.bar_alarm)
    left = Text.assemble((" hrm-console ", f"bold {palette.accent}"), ("│ ", palette.muted), no_wrap=True, end="")
    room = max(4, width - right.cell_len - left.cell_len - len(" │ ") - 1)
    where = folder_words(folder)
    left.append_text(plain(middle(name, max(room - len(where), room // 2)), palette.title))
    left.append(" │ ", palette.muted)
    left.append_text(plain(middle(where, max(4, width - right.cell_len - left.cell_len - 1)), palette.muted))
    return two_ends(left, right, width, palette.bar)


def idle_keys(line: RunLine | None) -> frozenset[str]:
    """The actions that a run in its state has no use for."""
    if line is None:
        return frozenset({"open", "stop", "pause", "resume"})
    hidden = set() if can_steer(line) else {"stop", "pause"}
    return frozenset(hidden if can_resume(line) else hidden | {"resume"})


def keys_line(
    screen: str,
    palette: Palette,
    width: int,
    hidden: frozenset[str] = frozenset(),
    keymap: Mapping[str, str] | None = None,
) -> Text:
    """The screen's keys as far as they fit; help and quit always."""
    own: list[Text] = []
    common: list[Text] = []
    for action in actions_of(screen, keymap):
        if action.footer and action.id not in hidden:
            entry = Text.assemble((f" {action.shown} ", palette.key), (f"{action.word} ", palette.muted))
            (common if EVERYWHERE in action.screens else own).append(entry)
    right = Text("").join(common)
    left, room = Text(no_wrap=True, end=""), width - right.cell_len
    for entry in own:
        if left.cell_len + entry.cell_len <= room:
            left.append_text(entry)
    return two_ends(left, right, width, "")
