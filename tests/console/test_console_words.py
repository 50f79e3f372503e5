"""Formatting: values are compared with the words written by hand, widths with the number of cells asked for."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hrm_console import words
from hrm_console.rows.listing import Alarm, RunLine
from hrm_console.screens.frame import keys_line, title_line
from hrm_console.theme import FULL, SIXTEEN, look_for, palette_for
from hrm_console.views.run.describe import alarm_rows, hint, preview_rows, status_rows, summary_row
from hrm_console.views.runs.columns import columns_for, header_row, run_row

LINE = RunLine(
    run_id="EXP-00-20261124-013000-kwzt",
    folder=Path("runs/EXP-00-20261124-013000-kwzt"),
    experiment="EXP-00",
    state="running",
    step=840,
    max_steps=100_000,
    loss=0.9123,
    exact=0.123,
    trivial=0.009,
    lift=0.114,
    speed=1_730.0,
    eta_s=7_512.0,
    best={"metric": "exact", "value": 0.131, "step": 800},
    alarms=(Alarm("plateau", "No gain for 4 validations.", "Lower the rate."),),
)


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        (words.number, 0.9123, "0.912"),
        (words.number, 12.345, "12.3"),
        (words.number, 4.1e-5, "4.1e-05"),
        (words.number, 0, "0"),
        (words.number, math.nan, "·"),
        (words.number, None, "·"),
        (words.number, True, "·"),
        (words.number, "0.5", "·"),
        (words.share, 0.1234, "12.3"),
        (words.signed_share, -0.009, "-0.9"),
        (words.signed_share, 0.114, "+11.4"),
        (words.count, 840, "840"),
        (words.count, 1_300, "1.3k"),
        (words.count, 100_000, "100k"),
        (words.count, 999_999, "1M"),
        (words.count, 6_820_000, "6.8M"),
        (words.rate, 1.72, "1.7"),
        (words.rate, 1_730, "1.7k"),
        (words.duration, 45, "45s"),
        (words.duration, 200, "3m20"),
        (words.duration, 7_512, "2h05"),
        (words.duration, 100_800, "1d04h"),
        (words.duration, -1, "·"),
        (words.duration, math.inf, "·"),
    ],
)
def test_a_value_is_written_so(form, value, expected):
    assert form(value) == expected


@pytest.mark.parametrize("width", range(12))
def test_a_name_is_cut_in_its_middle(width):
    short = words.middle("EXP-00-abcd", width)
    assert len(short) == min(width, 11)
    if 2 <= width < 11:
        assert "…" in short and short[0] == "E"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 160, 200, 300])
def test_table_rows_fit_every_width_and_line_up(width):
    columns = columns_for(width)
    row, header = run_row(LINE, columns, FULL), header_row(columns, FULL)
    assert row.cell_len == header.cell_len <= max(width, 30)
    assert "running" in row.plain


def test_at_eighty_columns_exact_stands_beside_its_trivial_value():
    columns = columns_for(80)
    titles = [column.title for column in columns]
    assert titles.index("triv%") == titles.index("exact%") + 1
    assert {"state", "run", "step", "loss", "lift", "ETA"} <= set(titles)
    row = run_row(LINE, columns, FULL).plain
    assert "12.3   0.9 +11.4" in row and "840/100k" in row and "2h05" in row and "▲1" in row


def test_a_wide_table_names_the_alarms():
    assert "▲ plateau" in run_row(LINE, columns_for(200), FULL).plain


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("palette", [FULL, SIXTEEN])
def test_no_row_is_wider_than_its_room(width, palette):
    rows = [
        *preview_rows(LINE, palette, width),
        *status_rows(LINE, None, palette, width),
        *alarm_rows(LINE, palette, width),
        summary_row(LINE, palette, width),
        title_line("runs", Path("/a/rather/long/folder/of/runs"), [LINE], palette, width),
        keys_line("runs", palette, width),
    ]
    assert max(row.cell_len for row in rows) <= width


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_title_says_screen_folder_and_alarms(width):
    line = title_line("runs", Path("/srv/runs"), [LINE], FULL, width).plain
    assert "runs" in line and "/srv/runs" in line and "▲ 1 alarm" in line


def test_exact_is_never_written_without_its_trivial_value():
    for width in (80, 200):
        assert "trivial 0.9 %" in summary_row(LINE, FULL, width).plain


def test_an_alarm_says_what_to_try():
    rows = [row.plain.strip() for row in alarm_rows(LINE, FULL, 80)]
    assert rows == ["▲ plateau: No gain for 4 validations.", "→ Lower the rate."]


def test_a_lost_run_is_told_how_to_go_on():
    lost = RunLine("a", Path("a"), "EXP-00", "lost")
    assert "Press r" in hint(lost)
    assert any("Press r" in row.plain for row in preview_rows(lost, FULL, 80))


def test_sixteen_colour_terminals_get_their_own_palette():
    assert palette_for("standard") is SIXTEEN and palette_for(None) is SIXTEEN
    assert palette_for("256") is FULL and palette_for("truecolor") is FULL
    assert look_for("auto", "standard") == ("calm-16", SIXTEEN) and look_for("auto", "256") == ("calm", FULL)
    assert look_for("clear", None) == ("calm-16", SIXTEEN) and look_for("ansi", "truecolor") == ("calm-16", SIXTEEN)
    assert look_for("clear", "256")[0] == "clear" and look_for("light", "truecolor")[0] == "light"


def test_the_full_palette_holds_fixed_xterm_colours_only():
    """256-colour terminals, what SSH gives by default, then show exactly what was meant."""
    levels = {0, 95, 135, 175, 215, 255}
    greys = {8 + 10 * step for step in range(24)}
    for style in vars(FULL).values() if hasattr(FULL, "__dict__") else []:
        for word in style.split():
            if word.startswith("#") and word != "#303a48":
                red, green, blue = (int(word[at : at + 2], 16) for at in (1, 3, 5))
                assert {red, green, blue} <= levels or (red == green == blue and red in greys), word
