"""Columns of rows against the rows that the reader of run folders gives, one by one; axes against sums by hand."""

from __future__ import annotations

import json
import math
import zlib
from array import array
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm_console.rows import blocks
from hrm_console.rows.axes import Axes
from hrm_console.rows.blocks import Block, Table, block_of_lines, block_of_rows, blocks_of_lines, number_of
from hrm_console.rows.frames import HEAD, MAGIC, block_of, pack, pack_block, unpack
from hrm_console.rows.thinning import factor_for, thinned
from hrm_core.runs.records import decode_row, encode_row

NAN = math.nan


@pytest.fixture(scope="module", autouse=True, params=["json", "quick"])
def parser(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything here holds with either parser of numbers."""
    before = blocks._list_of
    if request.param == "quick":
        blocks.read_quickly()
        assert blocks._list_of is not before
    yield
    blocks._list_of = before


numbers = st.none() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
values = {
    "number": numbers,
    "flag": st.booleans(),
    "words": st.text(max_size=6) | st.just('a,"loss":3,b'),
    "list": st.lists(st.floats(0, 1), min_size=3, max_size=3),
    "odd list": st.lists(st.integers(0, 9), max_size=4),
    "object": st.fixed_dictionaries({"loss": st.floats(0, 1), "x": st.text(max_size=3)}),
}
makes = st.lists(
    st.tuples(st.sampled_from(["loss", "a", "b,c", 'd"', "e:"]), st.sampled_from(sorted(values))), max_size=4
)


@st.composite
def files(draw: st.DrawFn) -> list[bytes]:
    """Lines of rows that are all of one make, or of two."""
    makers = [dict(make) for make in draw(st.lists(makes, min_size=1, max_size=2))]
    lines = []
    for step in range(draw(st.integers(1, 40))):
        make = makers[step % len(makers) if draw(st.integers(0, 4)) == 0 else 0]
        row = {"step": step, **{name: draw(values[kind]) for name, kind in make.items()}}
        lines.append(encode_row(row).rstrip(b"\n"))
    return lines


def same(first: array[float], second: list[float]) -> bool:
    return [str(value) for value in first] == [str(float(value)) for value in second]


@given(files())
def test_columns_are_what_the_rows_say_one_by_one(lines: list[bytes]) -> None:
    rows = [row for line in lines if (row := decode_row(line)) is not None]
    block = block_of_lines(lines)
    assert block is not None and len(block) == len(rows) and block.last == rows[-1]
    for name in {name for row in rows for name in row}:
        wanted = [number_of(row.get(name)) for row in rows]
        if name in block.columns:
            assert same(block.columns[name], wanted)
        else:
            assert all(map(math.isnan, wanted))


def lines_of(count: int, **more: Any) -> list[bytes]:
    return [encode_row({"step": n, "loss": 1 / (n + 1), "ok": True, **more}).rstrip(b"\n") for n in range(count)]


@pytest.mark.parametrize(
    "harm", [b"", b"{", b"\xff\x00", b'{"step":99,"loss":1.0,"ok":true,"crc":1}', b'{"step":1},{"step":2}']
)
def test_damaged_lines_are_left_out_and_no_other(harm: bytes) -> None:
    lines = lines_of(60)
    lines[30] = harm
    block = block_of_lines(lines)
    assert block is not None and list(block.columns["step"]) == [n for n in range(60) if n != 30]
    assert "ok" not in block.columns and "crc" not in block.columns


def test_a_value_that_was_changed_is_noticed() -> None:
    lines = lines_of(60)
    lines[7] = lines[7].replace(b'"loss":0.125', b'"loss":0.625')
    block = block_of_lines(lines)
    assert block is not None and len(block) == 59


def test_rows_of_one_make_are_read_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_rows", lambda lines: pytest.fail("read row by row"))
    block = block_of_lines(lines_of(60, histogram=[1, 2, 3], words="a", power_w=None, replay={"fill": 0.5}))
    assert block is not None and set(block.columns) == {"step", "loss"}


@pytest.mark.parametrize(
    "odd",
    ["1.5", "-0.0", "1e999", "-1e999", "9" * 400, "01", "1.", ".5", "+1", "1_0", "NaN", "Infinity", " 2", "0x1", ""],
)
def test_a_number_that_is_written_oddly_is_what_the_reader_of_rows_says(odd: str) -> None:
    lines = []
    for step in range(30):
        text = f'{{"step":{step},"a":{odd if step == 17 else 0.25}'.encode()
        lines.append(text + b',"crc":%d}' % zlib.crc32(text + b"}"))
    rows = [row for line in lines if (row := decode_row(line)) is not None]
    block = block_of_lines(lines)
    assert block is not None
    assert same(block.columns["step"], [row["step"] for row in rows])
    assert same(block.columns["a"], [number_of(row["a"]) for row in rows])


def test_no_numbers_give_no_block() -> None:
    assert block_of_lines([b"x"] * 40) is None and block_of_lines([]) is None
    assert block_of_rows([{"loss": 1.0}, {"step": "3"}]) is None


def test_numbers_that_are_none() -> None:
    odd = [True, "1", None, NAN, math.inf, 10**400, [1]]
    assert all(math.isnan(number_of(value)) for value in odd) and number_of(3) == 3


def rows_block(*rows: dict[str, Any]) -> Block:
    block = block_of_rows(list(rows))
    assert block is not None
    return block


def test_a_block_is_cut_where_a_step_falls_and_the_table_goes_back() -> None:
    steps = [10, 20, 30, 20, 30, 40, 5]
    lines = [encode_row({"step": step, "n": n}).rstrip(b"\n") for n, step in enumerate(steps)]
    parts = list(blocks_of_lines(lines, 100))
    assert [list(part.columns["step"]) for part in parts] == [[10, 20, 30], [20, 30, 40], [5]]
    table = Table(most=4)
    for part in parts[:2]:
        table.add(part)
    found = [(s, n) for block in table.blocks for s, n in zip(block.columns["step"], block.columns["n"], strict=True)]
    assert found == [(10, 0), (20, 1), (20, 3), (30, 4), (40, 5)] and len(table) == 5
    table.add(parts[2])
    assert [list(block.columns["step"]) for block in table.blocks] == [[5]]


def test_a_table_pads_what_a_block_has_not() -> None:
    table = Table(most=100)
    table.add(rows_block({"step": 1, "a": 1.0}))
    table.add(rows_block({"step": 2, "b": 2.0}))
    (block,) = table.blocks
    assert same(block.columns["a"], [1, NAN]) and same(block.columns["b"], [NAN, 2])


def test_seconds_and_samples_go_on_after_a_resume_and_joules_are_watts_times_seconds() -> None:
    axes = Axes()
    first = rows_block(
        {"step": 1, "elapsed_s": 2.0, "samples": 10, "power_w": None},
        {"step": 2, "elapsed_s": 4.0, "samples": 20, "power_w": 50.0},
        {"step": 3, "elapsed_s": 5.0, "samples": None, "power_w": None},
    )
    axes.join(first)
    assert list(first.axes["time"]) == [2, 4, 5] and list(first.axes["samples"]) == [10, 20, 20]
    assert list(first.axes["joules"]) == [0, 100, 150]
    axes = Axes.from_state(json.loads(json.dumps(axes.state())))
    second = rows_block({"step": 4, "elapsed_s": 1.0, "samples": 5, "power_w": 10.0}, {"step": 5, "elapsed_s": 3.0})
    axes.join(second)
    assert list(second.axes["time"]) == [5, 7] and list(second.axes["samples"]) == [20, 20]
    assert list(second.axes["joules"]) == [150, 170]


def axes_by_hand(seconds: list[float], watts: list[float]) -> tuple[list[float], list[float]]:
    """Time and joules of rows, one by one."""
    times, joules, last, shift, total, power = [], [], NAN, 0.0, 0.0, NAN
    for second, watt in zip(seconds, watts, strict=True):
        now = last if math.isnan(second) else second + shift
        if now < last:
            shift, now = shift + last - now, last
        power = watt if watt >= 0 else power
        past = 0.0 if math.isnan(last) else last
        total += power * (now - past) if power >= 0 and now > past else 0.0
        times.append(now)
        joules.append(total)
        last = now
    return times, joules


@given(
    st.lists(st.tuples(st.floats(0, 1e6) | st.just(NAN), st.floats(-5, 200) | st.just(NAN)), min_size=1, max_size=40),
    st.booleans(),
    st.integers(1, 40),
)
def test_axes_are_those_of_rows_one_by_one(rows: list[tuple[float, float]], resumed: bool, cut: int) -> None:
    seconds, watts = [row[0] for row in rows], [row[1] for row in rows]
    if not resumed:
        seconds, watts = sorted(second if second == second else 0.0 for second in seconds), list(map(abs, watts))
    seconds[0], watts[0] = abs(seconds[0]) if seconds[0] == seconds[0] else 0.0, 1.0
    axes, times, joules = Axes(), array("d"), array("d")
    for start in range(0, len(rows), cut):
        part = slice(start, start + cut)
        columns = {"step": array("d", range(len(rows)))[part], "elapsed_s": array("d", seconds[part])}
        found = axes.join(Block(columns | {"power_w": array("d", watts[part])}))
        times.extend(found["time"])
        joules.extend(found["joules"])
    # Not to the last bit: seconds after a resume are added in another order.
    by_hand = axes_by_hand(seconds, watts)
    assert list(times) == pytest.approx(by_hand[0], rel=1e-12, abs=1e-6)
    assert list(joules) == pytest.approx(by_hand[1], rel=1e-9, abs=1e-3)


def test_axes_without_numbers_are_missing() -> None:
    block = rows_block({"step": 1, "power_w": 5.0}, {"step": 2})
    assert Axes().join(block) == {}
    late = rows_block({"step": 1}, {"step": 2, "elapsed_s": 3.0})
    assert list(Axes().join(late)["time"]) == [3, 3]


def a_block() -> Block:
    block = rows_block(*({"step": n, "loss": n / 7, "lr": 0.5, "elapsed_s": n * 2.0, "x": None} for n in range(1, 50)))
    Axes().join(block)
    return block


def reader(data: bytes) -> Any:
    rest = [data]

    def read(count: int) -> bytes:
        part, rest[0] = rest[0][:count], rest[0][count:]
        return part

    return read


def test_a_frame_gives_back_its_block() -> None:
    block = a_block()
    data = pack_block(block, share=0.5)
    assert len(data) < 8 * len(block) * 4  # lr as one value, time as the name of elapsed_s
    frame = unpack(reader(data))
    assert frame is not None and frame[0]["share"] == 0.5
    found = block_of(*frame)
    assert found.columns == block.columns and found.axes == block.axes and found.last == block.last
    assert found.gaps == set()
    assert unpack(reader(b"")) is None


def test_a_frame_that_is_damaged_anywhere_is_an_error() -> None:
    data = pack_block(a_block())
    for at in range(0, len(data), 7):
        for harmed in (data[:at] or b"x", data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
            with pytest.raises(ValueError):
                unpack(reader(harmed))


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"rows": 0, "last": {}, "columns": [], "axes": [], "gaps": []},
        {"rows": 1, "last": {}, "columns": [["step", "constant", 1]], "axes": []},
        {"rows": 2, "last": {}, "columns": [], "axes": [], "gaps": []},
        {"rows": 2, "last": {}, "columns": [["step", "at", 0]], "axes": [], "gaps": []},
        {"rows": 2, "last": {}, "columns": [["step", "same", "x"]], "axes": [], "gaps": []},
        {"rows": 2, "last": {}, "columns": [["step"]], "axes": [], "gaps": []},
        {"rows": 10**30, "last": {}, "columns": [["step", "constant", 1]], "axes": [], "gaps": []},
        {"rows": "two", "last": 3, "columns": 1, "axes": None},
    ],
)
def test_a_frame_that_is_no_block_is_an_error(header: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        block_of(header, memoryview(b"\0" * 8))


def test_a_thinned_block_keeps_every_spike() -> None:
    rows = [{"step": n, "loss": 1.0, "samples": n * 32, "gap": None if n % 3 else 2.0} for n in range(1000)]
    rows[437]["loss"], rows[438]["loss"], rows[999]["loss"] = 9.0, -9.0, 10.0
    block = rows_block(*rows)
    Axes().join(block)
    fewer = thinned(block, 8)
    assert len(fewer) == 126 and fewer.last == block.last
    loss = list(fewer.columns["loss"])
    assert max(loss) == 10 and min(loss) == -9 and loss.index(9.0) < loss.index(-9.0)
    assert (
        list(fewer.columns["samples"]) == [step * 32 for step in fewer.columns["step"]] == list(fewer.axes["samples"])
    )
    assert set(fewer.columns["gap"]) == {2.0}
    frame = unpack(reader(pack_block(block)))
    assert frame is not None and block_of(*frame).gaps == {"gap"}
    assert thinned(block, 1) is block
    assert factor_for(1000) == 1 and factor_for(3_800_000) == 8


def test_a_frame_that_declares_more_than_it_holds_or_lies_too_deep_is_none() -> None:
    """Columns of one value take no bytes in a frame: a frame of a hundred could ask for gigabytes."""
    header = {"rows": 2**29, "last": {}, "share": 1.0, "columns": [["step", "constant", 1.0]], "axes": [], "gaps": []}
    frame = unpack(reader(pack(header)))
    assert frame is not None
    with pytest.raises(ValueError, match="no rows"):
        block_of(*frame)
    text = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(ValueError, match="depth"):
        unpack(reader(HEAD.pack(MAGIC, len(text), 0, zlib.crc32(text)) + text))
