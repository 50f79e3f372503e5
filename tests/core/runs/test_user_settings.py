"""The user's settings: what is written comes back; what a file says wrongly is reported and not obeyed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.runs.user_settings import SETTINGS, allowed, read_settings, settings_path, settings_text, write_settings

DEFAULTS = {setting.key: setting.default for setting in SETTINGS}


def test_a_missing_file_is_all_defaults(tmp_path: Path) -> None:
    found = read_settings(tmp_path / "none.toml")
    assert found.values == DEFAULTS and found.problems == ()


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.toml"
    changed = {
        **DEFAULTS,
        "console.theme": "clear",
        "console.mouse": False,
        "notify.command": ("notify-send", 'a "b" \\ \u00e9'),
        "archive.budget_gib": 3.5,
    }
    assert write_settings(changed, path) == path
    found = read_settings(path)
    assert found.values == changed and found.problems == ()
    assert found.words("notify.command")[0] == "notify-send" and found.number("archive.budget_gib") == 3.5
    assert not found.flag("console.mouse") and found.text("console.theme") == "clear"


def test_what_a_killed_writer_left_goes_with_the_next_and_a_write_under_way_stays(tmp_path: Path) -> None:
    left, going = (tmp_path / f".settings.toml.tmp-{pid}-0123abcd" for pid in (77, 78))
    for path in (left, going):
        path.write_bytes(b"half")
    os.utime(left, (1e9, 1e9))
    write_settings({}, tmp_path / "settings.toml")
    assert not left.exists() and going.read_bytes() == b"half"


def test_the_file_of_defaults_names_everything_and_says_nothing(tmp_path: Path) -> None:
    text = settings_text({})
    for setting in SETTINGS:
        assert f"# {setting.key.partition('.')[2]} = " in text and setting.sentence in text
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    assert read_settings(path).values == DEFAULTS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[console]\nthem = 'calm'\n", "did you mean console.theme"),
        ("[console]\ntheme = 'pink'\n", "one of auto, calm"),
        ("[console]\nrefresh_s = 0\n", "a number from 0.1 to 60"),
        ("[console]\nrefresh_s = nan\n", "a number from"),
        ("[console]\nmouse = 1\n", "true or false"),
        ("[notify]\ncommand = 'x'\n", "a list such as"),
        ("[notify]\ncommand = [1]\n", "a list such as"),
        ("console = 3\n", "console is no setting"),
        ("[console\n", "defaults hold"),
    ],
)
def test_mistakes_are_reported_and_defaults_hold(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    found = read_settings(path)
    assert found.values == DEFAULTS
    assert len(found.problems) == 1 and words in found.problems[0]


def test_a_value_that_a_setting_cannot_have_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"queue.hold_above_c = '400.0'.*a number from 0 to 150"):
        write_settings({"queue.hold_above_c": 400.0}, tmp_path / "settings.toml")
    assert not (tmp_path / "settings.toml").exists()


@pytest.mark.parametrize("content", [b"[console\nmouse = false", b"\xff", b" " * 300_000])
def test_a_file_that_cannot_be_read_is_not_replaced_by_defaults(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match="Repair the file or move it away"):
        write_settings({"console.mouse": True}, path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_looked_into_is_all_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/" + "x" * 300)
    assert read_settings().values == DEFAULTS


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert settings_path() == tmp_path / "hrm-console" / "settings.toml"
    assert all(allowed(setting) for setting in SETTINGS)


@pytest.mark.parametrize(
    "text",
    [
        "[console]\nrefresh_s = 0x" + "f" * 5000,
        "[console]\nrefresh_s = 1" + "0" * 400,
        "[archive]\nbudget_gib = nan",
        "[archive]\nbudget_gib = inf",
        '[console]\ntheme = "\\u001b[2J\\n"',
        '"\\u001b[2J\\n' + "x" * 500 + '" = 1',
        "[notify]\ncommand = [[" + "[" * 50 + "]" * 50 + "]]",
    ],
)
def test_what_is_beyond_reason_is_a_sentence_and_the_default_holds(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    found = read_settings(path)
    assert found.values == read_settings(tmp_path / "none.toml").values
    assert len(found.problems) == 1
    assert found.problems[0].isprintable() and len(found.problems[0]) < 400
