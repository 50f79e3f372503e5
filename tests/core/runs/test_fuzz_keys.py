"""The key map from any text: keys that every terminal sends, without a clash, and a clean sentence for the rest."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hrm_console.actions import ACTIONS, SCREENS
from hrm_console.keys import SAFE, checked_keymap, clashes, read_keymap, write_keymap
from hrm_core.runs.text import clean

LAW = settings(
    deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
IDS = sorted({action.id for action in ACTIONS})
KEYS = st.text(max_size=12) | st.sampled_from(["f2", "ctrl+n", "F5, ctrl+x", ",", "?", "x", "\x1b", "shift+tab"])
VALUES = KEYS | st.integers() | st.booleans() | st.lists(KEYS, max_size=2) | st.just(10**5000)


def sound(keymap: dict[str, str], problems: tuple[str, ...]) -> None:
    assert set(keymap) <= set(IDS)
    assert all(SAFE.fullmatch(key) for keys in keymap.values() for key in keys.split(","))
    assert not any(name in keymap for screen in SCREENS for name, _ in clashes(screen, keymap))
    assert all(clean(problem) == problem and len(problem) < 500 for problem in problems)


@LAW
@given(st.dictionaries(st.sampled_from(IDS) | st.text(max_size=12), VALUES, max_size=6))
@example({"open": 10**5000})
@example({"\x1b[2J": "x", "y" * 5000: "z"})
def test_any_table_is_a_sound_map_and_each_rest_is_said(wanted: dict[str, object]) -> None:
    keymap, problems = checked_keymap(wanted)
    sound(keymap, problems)
    assert set(wanted) - set(keymap) == set() or problems


@LAW
@given(
    data=st.binary(max_size=100) | st.text(max_size=60).map(lambda text: f"[keys]\n{text}".encode("utf-8", "replace"))
)
@example(data=b"keys = 3")
@example(data=b"[keys]\nopen = 0x" + b"f" * 5000)
@example(data=b"x = " + b"[" * 60_000)
def test_any_file_is_a_sound_map(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "keys.toml"
    path.write_bytes(data)
    sound(*read_keymap(path))


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    keymap, problems = checked_keymap({"open": "F2, ctrl+n", "filter": "f5"})
    assert not problems
    assert read_keymap(write_keymap(tmp_path / "keys.toml", keymap)) == (keymap, ())
