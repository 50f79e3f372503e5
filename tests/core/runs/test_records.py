"""Rows read back against rows written; damaged, torn and hostile lines against None."""

from __future__ import annotations

import json
import math
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm_core.runs.files import integer, items, mapping, number, string
from hrm_core.runs.records import (
    CLOCK_COLUMNS,
    MAX_ROW_BYTES,
    decode_row,
    decode_status,
    encode_row,
    encode_status,
    without_clocks,
)

ROW: dict[str, Any] = {
    "step": 10,
    "loss": 0.5,
    "name": "é\u2028\ud800",
    "alarms": [{"name": "x"}],
    "lr": None,
    "ok": True,
}

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def with_crc(body: bytes) -> bytes:
    """A line whose checksum is right, whatever it says."""
    return body[:-1] + b',"crc":' + str(zlib.crc32(body)).encode() + b"}"


@given(st.dictionaries(st.text().filter(lambda key: key != "crc"), values, max_size=6))
def test_a_row_comes_back_as_it_was(row: dict[str, Any]) -> None:
    line = encode_row(row)
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
    assert line.isascii()
    assert decode_row(line) == row


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    for found in (decode_row(data), decode_row(with_crc(data)), decode_status(b'{"a":1,"crc":' + data)):
        assert found is None or isinstance(found, dict)


@given(st.integers(0, len(encode_row(ROW)) - 2), st.integers(0, 7))
def test_every_flipped_bit_is_noticed(place: int, bit: int) -> None:
    line = bytearray(encode_row(ROW))
    line[place] ^= 1 << bit
    assert decode_row(bytes(line)) is None


@given(st.integers(0, len(encode_row(ROW)) - 2))
def test_every_torn_line_is_noticed(length: int) -> None:
    assert decode_row(encode_row(ROW)[:length]) is None


@pytest.mark.parametrize(
    "body",
    [
        b"[1,2]}", b"{]", b'{"a":' + b"[" * 100_000 + b"}", b"\xff\xfe{}", b'{"a":1' + b"1" * 5000 + b"}",
        b'{"a":"' + b"x" * MAX_ROW_BYTES + b'"}',
    ],
)  # fmt: skip
def test_hostile_lines_with_the_right_checksum_are_no_rows(body: bytes) -> None:
    row = decode_row(with_crc(body))
    assert row is None or row == {"a": None}


def test_the_checksum_is_of_the_line_without_it() -> None:
    line = encode_row({"a": 1})
    assert line == b'{"a":1,"crc":%d}\n' % zlib.crc32(b'{"a":1}')
    assert decode_row(encode_row({})) == {}


def test_numbers_that_are_not_finite_are_null_in_and_out() -> None:
    assert decode_row(encode_row({"a": math.nan, "b": [math.inf]})) == {"a": None, "b": [None]}
    assert decode_row(with_crc(b'{"a":NaN,"b":1e999,"c":-Infinity}')) == {"a": None, "b": None, "c": None}


def test_numbers_of_other_libraries_are_written_as_numbers() -> None:
    row = {"a": np.float32(0.5), "b": np.int64(7), "c": np.float64("nan"), "d": (1, {2})}
    assert decode_row(encode_row(row)) == {"a": 0.5, "b": 7, "c": None, "d": [1, [2]]}


def test_what_has_no_place_in_a_row_is_named() -> None:
    with pytest.raises(TypeError, match=r"row\.halting\.x is a object"):
        encode_row({"halting": {"x": object()}})


def test_status_is_a_row_and_clocks_are_left_out_of_comparisons() -> None:
    status = {"step": 1, "time_utc": "now", "power_w": 80.0}
    assert decode_status(encode_status(status)) == status
    assert without_clocks(status) == {"step": 1}
    assert "crc" in CLOCK_COLUMNS
    assert without_clocks(json.loads(encode_row({"step": 1, "elapsed_s": 2.0}))) == {"step": 1}


@given(values, st.text())
def test_values_of_a_wrong_type_are_none_or_empty(value: Any, key: str) -> None:
    for row in (value, {key: value}):
        found = number(row, key)
        assert found is None or math.isfinite(found)
        assert integer(row, key) is None or isinstance(integer(row, key), int)
        assert string(row, key) is None or isinstance(string(row, key), str)
        assert isinstance(mapping(row, key), dict)
        assert isinstance(items(row, key), list)
