"""Grids as rows of text: exact sizes at every scale and look, marks that one colour shows, pages with everything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import Color, ColorSystem
from rich.style import Style

from hrm_console.views.puzzles.boards import SIZES, arrange, bands, height_of
from hrm_console.views.puzzles.grids import (
    COLOR_NAMES,
    HOLE,
    MANY,
    SIXTEEN,
    WRONG,
    XTERM,
    Look,
    Picture,
    Scale,
    differing,
    draw,
    grid_trouble,
    look_of,
    mask_of,
    parse_grid,
    recolored,
)

LOOKS = [Look(colors, ascii) for colors in ("many", "sixteen", "none") for ascii in (False, True)]
GRIDS = st.integers(1, 30).flatmap(
    lambda width: st.lists(st.text("0123456789", min_size=width, max_size=width), min_size=1, max_size=30)
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def text_of(rows):
    return ["".join(text for text, _ in row) for row in rows]


def scales_of(look):
    return [scale for scale in Scale if scale is not Scale.HALF or look.small is Scale.HALF]


@settings(deadline=None)
@given(GRIDS, st.sampled_from(LOOKS), st.booleans())
def test_a_picture_has_exactly_its_extent_at_every_scale(rows, look, mask):
    grid = parse_grid(rows)
    picture = Picture("title", tuple(tuple(cell % 2 for cell in row) for row in grid) if mask else grid, mask=mask)
    for scale in scales_of(look):
        width, height = picture.extent(scale)
        drawn = draw(picture, scale, look)
        assert len(drawn) == height and {len(line) for line in text_of(drawn)} == {width}
        for _, style in (part for row in drawn for part in row):
            Style.parse(style)
        if look.ascii:
            assert all(line.isascii() for line in text_of(drawn))
        if look.colors == "none":
            assert {style for row in drawn for _, style in row} <= {"", "reverse"}


@settings(deadline=None)
@given(ANYTHING)
def test_whatever_a_record_holds_is_a_rectangle_of_cells(value):
    grid = parse_grid(value)
    assert len(grid) <= 30 and len({len(row) for row in grid}) <= 1
    assert all(HOLE <= cell <= 9 for row in grid for cell in row)
    for look in LOOKS:
        draw(Picture("x", grid), look.small, look)
    assert isinstance(grid_trouble(value), str)


def test_what_is_not_as_it_should_be_is_said():
    assert parse_grid(["12", "3"]) == ((1, 2), (3, HOLE)) and grid_trouble(["12", "3"]) == "with holes"
    assert parse_grid(["1x"]) == ((1, HOLE),) and grid_trouble(["1x"]) == "with holes"
    assert len(parse_grid(["1" * 90] * 90)[0]) == 30 and grid_trouble(["1" * 90]) == "cut to 30x30"
    assert parse_grid(7) == () and grid_trouble(7) == "no grid" and grid_trouble([[1, 2]]) == "no grid"
    assert grid_trouble(["12", "34"]) == ""


def test_half_blocks_hold_the_upper_row_in_front_and_the_lower_behind():
    drawn = draw(Picture("", parse_grid(["13", "24", "55"])), Scale.HALF, Look())
    assert drawn[2][1] == ("▀", f"{MANY[1]} on {MANY[2]}") and drawn[2][2] == ("▀", f"{MANY[3]} on {MANY[4]}")
    assert drawn[3][1] == ("▀▀", MANY[5])


@pytest.mark.parametrize("color", range(10))
def test_colours_are_the_fixed_ones_of_256_and_ten_different_of_16(color):
    assert Color.parse(MANY[color]).downgrade(ColorSystem.EIGHT_BIT).number == XTERM[color]
    assert XTERM[color] >= 16 and len(COLOR_NAMES) == 10
    assert Color.parse(SIXTEEN[color]).number < 16 and len({Color.parse(name).number for name in SIXTEEN}) == 10


def test_sixteen_colours_have_the_digit_on_its_colour_and_marks_are_seen_without_any():
    grid = parse_grid(["12"])
    marks = {(0, 1): WRONG[False]}
    assert text_of(draw(Picture("", grid, marks=marks), Scale.WIDE, Look("sixteen")))[2] == "│1 2╳│"
    plain = draw(Picture("", grid, marks={(0, 1): WRONG[True]}), Scale.WIDE, Look("none", ascii=True))
    assert text_of(plain)[2] == "|1 2x|" and plain[2][2] == ("2x", "reverse")
    assert text_of(draw(Picture("", grid, marks=marks), Scale.WIDE, Look()))[2] == "│  ╳ │"
    assert text_of(draw(Picture("", grid, letters={(0, 0): "a"}, marks=marks), Scale.BIG, Look()))[2] == "│a   ╳   │"
    tall = draw(Picture("", grid, letters={(0, 0): "a"}), Scale.TALL, Look())
    assert text_of(tall)[2] == "│a │"


def test_masks_are_seen_without_colour():
    mask = mask_of(frozenset({(0, 1), (1, 0)}), parse_grid(["00", "00"]))
    assert text_of(draw(Picture("", mask, mask=True), Scale.HALF, Look()))[2] == "│▄▀│"
    assert text_of(draw(Picture("", mask, mask=True), Scale.WIDE, Look("none", ascii=True)))[2:4] == [
        "|. xx|",
        "|xx. |",
    ]


def test_looks():
    assert look_of(None, "braille") == Look("none") and look_of("standard", "ascii") == Look("sixteen", True)
    assert look_of("256", "blocks") == look_of("truecolor", "braille") == Look()


def test_grids_of_different_size_differ_where_only_one_is():
    assert differing(parse_grid(["12"]), parse_grid(["1", "2"])) == {(0, 1), (1, 0)}
    assert recolored(parse_grid(["1x2"]), (0, 5, 1, 3, 4, 2, 6, 7, 8, 9)) == ((5, HOLE, 1),)


GROUPS = st.lists(
    GRIDS.map(lambda rows: (Picture("1 input", parse_grid(rows)), Picture("output", parse_grid(rows)))), max_size=6
)


@settings(deadline=None)
@given(
    GROUPS,
    GRIDS,
    st.integers(1, 220),
    st.integers(1, 70),
    st.sampled_from(LOOKS),
    st.sampled_from(SIZES),
    st.booleans(),
)
def test_every_demonstration_is_on_one_page_and_the_test_on_the_first(groups, rows, width, height, look, size, letters):
    test = tuple(Picture(name, parse_grid(rows)) for name in ("test input", "target", "predicted", "wrong 3"))
    first = arrange(groups, test, width, height, look, size=size, letters=letters)
    pages = [
        arrange(groups, test, width, height, look, size=size, page=page, letters=letters) for page in range(first.pages)
    ]
    assert [at for page in pages for at in page.shown] == list(range(len(groups)))
    assert arrange(groups, test, width, height, look, size=size, page=first.pages, letters=letters) == first
    text = "\n".join(text_of(first.rows))
    assert "test input" in text and "predicted" in text
    widest = max(picture.extent(first.scale)[0] for picture in test)
    if widest <= width:
        assert (
            max(picture.extent(first.scale)[0] for band in bands([test], first.scale, width) for picture in band)
            <= width
        )
    if first.shown:
        assert len(first.rows) <= height


def test_a_30x30_test_fits_a_small_terminal_as_half_blocks():
    test = tuple(Picture(name, parse_grid(["5" * 30] * 30)) for name in ("test input 30x30", "target 30x30"))
    board = arrange([], test, 78, 19, Look())
    assert board.scale is Scale.HALF and len(board.rows) == 18
    four = arrange([test] * 3, (*test, *test), 78, 19, Look())
    assert four.scale is Scale.HALF and len(four.rows) == 36 and not four.shown and four.pages == 4
    assert max(map(len, text_of(board.rows))) <= 78
    assert height_of(bands([test], Scale.HALF, 78), Scale.HALF) == 18


def test_small_grids_are_drawn_large_and_large_ones_small():
    small = tuple(Picture(name, parse_grid(["123"] * 3)) for name in ("a", "b", "c", "d"))
    assert arrange([small[:2]], small, 140, 54, Look()).scale is Scale.BIG
    assert arrange([small[:2]] * 4, small, 78, 19, Look()).scale is Scale.WIDE
    assert arrange([], small, 140, 54, Look(), size="small").scale is Scale.HALF
    assert arrange([], small, 140, 54, Look("none"), size="small").scale is Scale.TALL
