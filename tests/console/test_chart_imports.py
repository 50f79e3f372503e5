"""What importing the charts loads, in a process of its own, against what it must not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "numpy", "h5py", "scipy", "plotext", "triton", "pandas"}
MODULES = ["series", "decimate", "ticks", "view", "chart", "canvas", "braille", "printed"]


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_data_layer_and_the_renderers_load_no_library_at_all() -> None:
    loaded = loaded_by("import " + ", ".join(f"hrm_console.charts.{name}" for name in MODULES))
    assert not loaded & (HEAVY | {"textual", "rich", "hrm_core"})


@pytest.mark.parametrize("heavy", sorted(HEAVY))
def test_the_widget_loads_textual_and_nothing_heavy(heavy: str) -> None:
    assert heavy not in widget_modules()


def widget_modules(found: list[set[str]] = []) -> set[str]:  # noqa: B006 (a cache for the seven questions above)
    if not found:
        found.append(loaded_by("import hrm_console.widgets.chart"))
    return found[0]
