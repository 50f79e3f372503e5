"""Takes the README's pictures: the runs screen and a run's screen as SVG, from a folder of real runs.

    python scripts/screenshots.py --runs runs [--run RUN] [--out docs/screenshots] [--size 140x40]

The runs are only read. Without --run the first listed one is opened. Writes runs.svg, run.svg and
launch.svg.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

# Without a terminal Textual would choose sixteen colours; it reads this when it is imported.
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"

from textual.pilot import Pilot

from hrm_console.app import ConsoleApp
from hrm_console.screens.launch import LaunchScreen
from hrm_console.screens.run import RunScreen

PATIENCE = 600


async def until(pilot: Pilot[int], met: object, what: str) -> None:
    """Let the app work until `met()` is true."""
    assert callable(met)
    for _ in range(PATIENCE):
        if met():
            await pilot.pause()
            return
        await pilot.pause(0.05)
    raise SystemExit(f"error: waited in vain for {what}")


async def take(runs_dir: Path, run: str | None, out: Path, size: tuple[int, int]) -> list[Path]:
    """Open the app without a terminal, go through its screens, and save each."""
    app = ConsoleApp(runs_dir, tick_s=0.2)
    paths = [out / f"{name}.svg" for name in ("runs", "run", "launch")]
    async with app.run_test(size=size) as pilot:

        def save(path: Path) -> None:
            path.write_text(app.export_screenshot(title="hrm-console"), encoding="utf-8")

        await until(pilot, lambda: app.runs and app.feed is not None and app.feed.read, "a run in the folder")
        await pilot.pause(1.0)
        save(paths[0])
        app.show_run(run or app.runs[0].run_id)
        await until(
            pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.feed and app.screen.feed.read, "the run"
        )
        await pilot.pause(1.0)
        save(paths[1])
        await pilot.press("escape", "n")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.answer is not None, "the form")
        save(paths[2])
    return paths


def main() -> None:
    """Parse, take, and say what was written."""
    parser = argparse.ArgumentParser(description="Take the README's pictures from real runs.")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--run")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--size", default="140x40", help="columns x rows")
    options = parser.parse_args()
    columns, _, rows = options.size.partition("x")
    options.out.mkdir(parents=True, exist_ok=True)
    for path in asyncio.run(take(options.runs, options.run, options.out, (int(columns), int(rows)))):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
