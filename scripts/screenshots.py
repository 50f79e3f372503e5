"""Takes the README's pictures: every screen of the console as SVG, from a folder of real runs.

    python scripts/screenshots.py --runs runs [--run RUN] [--against RUN] [--out docs/screenshots] [--size 140x40]

The runs are only read; marks and baseline are kept in a cache folder of the script's own. --run is the run that is
opened and drawn (default: the first listed one), --against the one it is compared with as the baseline (default: the
second). Screens that would be empty (no queue, no archive) are taken all the same: they then say so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

# Without a terminal Textual would choose sixteen colours; it reads this when it is imported.
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"
os.environ["XDG_CACHE_HOME"] = os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="hrm-screenshots-")

from textual.pilot import Pilot

from hrm_console.app import ConsoleApp
from hrm_console.session import Session

PATIENCE = 1200
SETTLE_S = 1.0
ROOMS = ("launch", "queue", "archive", "puzzles", "device", "settings")


async def until(pilot: Pilot[int], met: Callable[[], object], what: str) -> None:
    """Let the app work until `met()` is true."""
    for _ in range(PATIENCE):
        if met():
            await pilot.pause(SETTLE_S)
            return
        await pilot.pause(0.05)
    raise SystemExit(f"error: waited in vain for {what}")


def room_is(app: ConsoleApp, room: str) -> Callable[[], bool]:
    """Whether a room is looked at."""
    return lambda: getattr(app.screen, "ROOM", "") == room


async def take(runs_dir: Path, run: str, against: str, out: Path, size: tuple[int, int]) -> list[Path]:
    """Open the app without a terminal, go through its screens, and save each."""
    app = ConsoleApp(runs_dir, tick_s=0.2)
    saved: list[Path] = []

    def save(name: str) -> None:
        path = out / f"{name}.svg"
        path.write_text(app.export_screenshot(title="hrm-console"), encoding="utf-8")
        saved.append(path)

    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.runs, "a run in the folder")
        run = run or app.runs[0].run_id
        against = against or app.runs[min(1, len(app.runs) - 1)].run_id
        app.remember(replace(Session(), marked=(run,), baseline=against, seen_s=app.session.seen_s))
        save_after = {"puzzles": ("f",)}
        await until(pilot, lambda: app.feeds and all(feed.read for feed in app.feeds.values()), "the rows of a run")
        save("runs")
        app.show_run(run)
        await until(pilot, lambda: app.feed_of(run) is not None and app.feed_of(run).read, "the run")
        await pilot.press(*["left"] * 12)
        await pilot.pause(SETTLE_S)
        save("run")
        for room in ROOMS:
            app.go(room)
            await until(pilot, room_is(app, room), room)
            await pilot.pause(2 * SETTLE_S)
            await pilot.press(*save_after.get(room, ()))
            await pilot.pause(SETTLE_S)
            save(room)
            app.go("run")
        app.go("compare", against, run)
        await until(pilot, room_is(app, "compare"), "compare")
        await pilot.pause(15 * SETTLE_S)  # the verdict comes from a child process
        save("compare")
        await pilot.press("question_mark")
        await until(pilot, room_is(app, "help"), "help")
        save("help")
    return saved


def main() -> None:
    """Parse, take, and say what was written."""
    parser = argparse.ArgumentParser(description="Take the README's pictures from real runs.")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--run", default="")
    parser.add_argument("--against", default="")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--size", default="140x40", help="columns x rows")
    options = parser.parse_args()
    columns, _, rows = options.size.partition("x")
    options.out.mkdir(parents=True, exist_ok=True)
    size = (int(columns), int(rows))
    for path in asyncio.run(take(options.runs.absolute(), options.run, options.against, options.out, size)):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
