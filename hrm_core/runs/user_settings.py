"""Room `runs`: the user's settings, `~/.config/hrm-console/settings.toml`; one list of what there is.

file -> `UserSettings`, whose values are of the kind and range that the list says; whatever else stands in the file is
reported, not obeyed, and never stops a run. The list makes the settings screen and the file with its comments. Written
whole by the one atomic writer. Which keys do what is in `keys.toml` beside it, and the console's affair.
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import ABANDONED_S, clean_leftovers, explain_os_error, make_folder, write_bytes
from hrm_core.runs.files import read_small
from hrm_core.runs.text import clean

Value = bool | float | str | tuple[str, ...]
Kind = Literal["yes or no", "number", "choice", "text", "words"]
_MAX_BYTES: Final = 256 * 1024


@final
@dataclass(frozen=True)
class Setting:
    """One setting: `group.name`, its kind, default and meaning; `choices` of a choice, `low` to `high` of a number."""

    key: str
    kind: Kind
    default: Value
    sentence: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = math.inf
    unit: str = ""


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "console.theme",
        "choice",
        "auto",
        "Colours: auto follows the terminal, clear is for colour-blind eyes, ansi uses the terminal's own sixteen.",
        ("auto", "calm", "clear", "light", "ansi"),
    ),
    Setting(
        "console.markers",
        "choice",
        "braille",
        "What curves are drawn with: braille is finest, blocks suits thin fonts, ascii suits every terminal.",
        ("braille", "blocks", "ascii"),
    ),
    Setting("console.mouse", "yes or no", True, "Take the mouse. Without it the terminal selects text as always."),
    Setting(
        "console.refresh_s", "number", 0.5, "How often run folders are looked at.", low=0.1, high=60.0, unit="seconds"
    ),
    Setting(
        "console.exports",
        "text",
        "~/hrm-exports",
        "Where screens are saved as SVG and curves as CSV.",
    ),
    Setting(
        "notify.command",
        "words",
        (),
        "Run with a title and a text behind it when a run ends, alarms or has a new best, such as notify-send.",
    ),
    Setting("runs.inhibit_sleep", "yes or no", True, "Keep the machine from sleeping while a run goes on."),
    Setting("queue.hold_on_battery", "yes or no", True, "Start nothing from the queue while on battery."),
    Setting(
        "queue.hold_above_c",
        "number",
        90.0,
        "Start nothing from the queue while the GPU is hotter than this; 0 is never.",
        low=0.0,
        high=150.0,
        unit="degrees Celsius",
    ),
    Setting("queue.ray_address", "text", "127.0.0.1:6379", "Where Ray's head listens, for --on ray."),
    Setting("queue.slurm_partition", "text", "", "Partition for --on slurm; empty: the cluster's default."),
    Setting("queue.slurm_hours", "number", 24.0, "Time limit of a SLURM job.", low=0.1, high=1e4, unit="hours"),
    Setting("queue.job_gpus", "number", 1.0, "GPUs that SLURM or Ray gives a run.", low=0.0, high=64.0),
    Setting("queue.job_cpus", "number", 2.0, "Cores that SLURM or Ray gives a run.", low=1.0, high=256.0),
    Setting("queue.ahead", "number", 4.0, "How many runs may wait in SLURM or Ray.", low=1.0, high=1e3),
    Setting(
        "archive.budget_gib", "number", 20.0, "Disk budget that pruning the archive keeps to.", high=1e6, unit="GiB"
    ),
)
BY_KEY: Final[dict[str, Setting]] = {setting.key: setting for setting in SETTINGS}


@final
@dataclass(frozen=True)
class UserSettings:
    """The settings in force, and what the file says that is not obeyed, a sentence each; `damaged`: all of it."""

    values: Mapping[str, Value]
    problems: tuple[str, ...] = ()
    damaged: bool = False

    def flag(self, key: str) -> bool:
        """A setting of kind yes or no."""
        return self.values[key] is True

    def number(self, key: str) -> float:
        """A setting of kind number."""
        value = self.values[key]
        assert isinstance(value, float) and not isinstance(value, bool)
        return value

    def text(self, key: str) -> str:
        """A setting of kind text or choice."""
        value = self.values[key]
        assert isinstance(value, str)
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """A setting of kind words."""
        value = self.values[key]
        assert isinstance(value, tuple)
        return value


def config_dir() -> Path:
    """`hrm-console` under XDG_CONFIG_HOME, else under ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        return (Path(base) if base.startswith("/") else Path.home() / ".config") / "hrm-console"
    except RuntimeError:
        raise UserError("there is no home folder for settings; set XDG_CONFIG_HOME.") from None


def settings_path() -> Path:
    """The file of settings; it need not exist."""
    return config_dir() / "settings.toml"


def cache_dir() -> Path:
    """`hrm-console` under XDG_CACHE_HOME, else under ~/.cache: what can be lost."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "hrm-console"
    except RuntimeError:
        raise UserError("there is no home folder for caches; set XDG_CACHE_HOME.") from None


def parsed(setting: Setting, value: object) -> Value:
    """A value as the setting wants it. UserError names the setting, the value and what it may be."""
    wrong = UserError(f"{setting.key} = {_shown(value)}: {allowed(setting)}")
    if setting.kind == "yes or no":
        if not isinstance(value, bool):
            raise wrong
        return value
    if setting.kind == "number":
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise wrong
        # Compared before it is made a float: a whole number may be larger than any.
        if not (setting.low <= value <= min(setting.high, 1e300)):
            raise wrong
        return float(value)
    if setting.kind == "words":
        if not isinstance(value, (list, tuple)) or not all(isinstance(word, str) for word in value):
            raise wrong
        return tuple(value)
    if not isinstance(value, str) or (setting.choices and value not in setting.choices):
        raise wrong
    return value


def _shown(value: object) -> str:
    """A value for a sentence: one line of at most 60 characters without controls."""
    try:
        return clean(repr(str(value)[:60]))
    except (ValueError, RecursionError):  # a whole number of thousands of digits
        return "(a value beyond reason)"


def allowed(setting: Setting) -> str:
    """What a setting may be, in words."""
    if setting.kind == "choice":
        return "one of " + ", ".join(setting.choices)
    if setting.kind == "number":
        most = "" if math.isinf(setting.high) else f" to {setting.high:g}"
        return f"a number from {setting.low:g}{most}" + (f" ({setting.unit})" if setting.unit else "")
    return {"yes or no": "true or false", "text": "text in quotes", "words": 'a list such as ["notify-send"]'}[
        setting.kind
    ]


def read_settings(path: Path | None = None) -> UserSettings:
    """The settings; defaults where the file is missing, unreadable or says something else. Never raises for them."""
    values: dict[str, Value] = {setting.key: setting.default for setting in SETTINGS}
    problems: list[str] = []
    try:
        path = settings_path() if path is None else path
    except UserError as error:
        return UserSettings(values, (error.message,))
    if not os.path.lexists(path):  # Path.exists would raise where the folder may not be looked into
        return UserSettings(values)
    import tomllib  # here: the console reads settings before its first frame, mostly where there is no file

    data = read_small(path, _MAX_BYTES)
    if data is None:
        return UserSettings(values, (f"{clean(path)} cannot be read as a settings file; defaults hold",), damaged=True)
    try:
        tree = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return UserSettings(values, (f"{clean(path)}: {clean(str(error)[:200])}; defaults hold",), damaged=True)
    for group, content in tree.items():
        for name, value in content.items() if isinstance(content, dict) else [("", content)]:
            key = f"{group}.{name}" if name else group
            setting = BY_KEY.get(key)
            if setting is None:
                near = difflib.get_close_matches(key[:200], BY_KEY, n=1)
                problems.append(
                    f"{clean(path)}: {clean(key[:80])} is no setting" + (f"; did you mean {near[0]}?" if near else "")
                )
                continue
            try:
                values[key] = parsed(setting, value)
            except UserError as error:
                problems.append(f"{clean(path)}: {error.message}")
    return UserSettings(values, tuple(problems))


def settings_text(values: Mapping[str, Value]) -> str:
    """The file: every setting with its sentence above it; those at their default are commented out."""
    lines = ["# Settings of hrm-console. A line behind # shows a default."]
    group = ""
    for setting in SETTINGS:
        head, _, name = setting.key.partition(".")
        if head != group:
            group = head
            lines += ["", f"[{group}]"]
        value = values.get(setting.key, setting.default)
        shown = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
        lines.append(f"# {setting.sentence} ({allowed(setting)})")
        lines.append(f"{'# ' if value == setting.default else ''}{name} = {shown}")
    return "\n".join(lines) + "\n"


def write_settings(values: Mapping[str, Value], path: Path | None = None) -> Path:
    """Replaces the file; gives its path. UserError for a value that a setting cannot have, or a disk that refuses.

    A file that cannot be read stays as it is: its settings would be lost.
    """
    checked = {key: parsed(BY_KEY[key], value) for key, value in values.items()}
    path = settings_path() if path is None else path
    before = read_settings(path)
    if before.damaged:
        raise UserError(f"not kept: {before.problems[0]}. Repair the file or move it away.", 1)
    try:
        make_folder(path.parent)
        clean_leftovers(path.parent, ABANDONED_S)
        write_bytes(path, settings_text(checked).encode("utf-8"))
    except OSError as error:
        raise explain_os_error(error) from error
    return path
