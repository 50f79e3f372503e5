"""`hrm settings` against a file of settings: values, defaults, and what is not obeyed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hrm_core.cli.settings_command import settings
from hrm_core.runs.user_settings import SETTINGS, settings_path, write_settings


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_every_setting_is_listed_with_its_value() -> None:
    write_settings({"console.theme": "light", "notify.command": ("notify-send", "-u")})
    shown = CliRunner().invoke(settings, ["--json", "--runs", "anywhere"])
    found = json.loads(shown.stdout)
    assert found["file"] == str(settings_path()) and list(found["settings"]) == [setting.key for setting in SETTINGS]
    assert found["settings"]["console.theme"] | {"what": ""} == {"value": "light", "default": "auto", "what": ""}
    printed = CliRunner().invoke(settings, [])
    assert printed.exit_code == 0 and str(settings_path()) in printed.stdout
    lines = {line.split()[0]: line for line in printed.stdout.splitlines() if line}
    assert "light" in lines["console.theme"] and "notify-send -u" in lines["notify.command"]
    assert lines["console.mouse"].split()[1:3] == ["yes", "yes"]


def test_what_is_not_obeyed_is_said() -> None:
    settings_path().parent.mkdir(parents=True)
    settings_path().write_text('[console]\ntheme = "pink\\u001b[2J"\nthem = 3\n')
    shown = CliRunner().invoke(settings, ["--json"])
    assert json.loads(shown.stdout)["settings"]["console.theme"]["value"] == "auto"
    assert "did you mean console.theme" in shown.stderr and "\x1b" not in shown.stderr and shown.exit_code == 0
