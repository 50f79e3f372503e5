"""The styles of the screens, and the run's screen: those of the first frame at once, the others when it is out.

`screens/*.tcss` -> the app's stylesheet. To read all of them before the first frame took a tenth of a second.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

FOLDER = Path(__file__).parent / "screens"
FIRST = tuple(FOLDER / name for name in ("app.tcss", "runs.tcss"))


def read_rest(app: App[Any]) -> None:
    """Read the styles that are not there yet; what is on the screen is dressed anew only if a key was quicker."""
    missing = [path for path in sorted(FOLDER.glob("*.tcss")) if not app.stylesheet.has_source(str(path))]
    if missing:
        app.stylesheet.read_all(missing)
        if len(app.screen_stack) > 1:
            app.refresh_css(animate=False)
        else:
            app.stylesheet.parse()  # not `reparse`: that learns the rules in a copy, and the next screen all anew


def prepare(app: ConsoleApp) -> None:
    """Have at hand what the next key will most likely want: the styles, and the run's screen."""
    read_rest(app)
    app.in_background(lambda: importlib.import_module("hrm_console.screens.run"))
