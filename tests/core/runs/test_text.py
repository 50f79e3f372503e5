"""Cleaned text against what a terminal obeys: no payload and no random string keeps a character that acts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm_core.runs.text import clean, clean_lines

PAYLOADS = {
    "clipboard (OSC 52)": "\x1b]52;c;ZWNobyBoaQ==\x07",
    "window title": "\x1b]0;owned\x07",
    "clear screen": "\x1b[2J\x1b[H",
    "device status report": "\x1b[6n",
    "full reset": "\x1bc",
    "C1 CSI": "\x9b31m",
    "C1 OSC": "\x9d0;owned\x9c",
    "DCS": "\x1bPq\x1b\\",
    "back space": "good\b\b\b\bevil",
    "carriage return": "safe\revil",
    "next line (C1)": "a\x85b",
    "right to left": "run\u202egpj.exe",
    "isolates": "\u2066a\u2069",
    "line separator": "a\u2028b\u2029c",
    "NUL and DEL": "a\x00b\x7f",
    "lone surrogate": "a\udce9b",
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_loses_its_force_and_keeps_its_length(name: str) -> None:
    payload = PAYLOADS[name]
    shown = clean(payload)
    assert len(shown) == len(payload)
    assert shown != payload
    assert all(unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") for character in shown)
    assert not set(shown) & set("\u202e\u2066\u2069\u200f")
    shown.encode("utf-8")


@given(st.text(st.characters()))
def test_any_text_is_safe_after_cleaning_and_cleaning_again_changes_nothing(text: str) -> None:
    shown = clean(text)
    assert len(shown) == len(text)
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in shown)
    assert clean(shown) == shown
    shown.encode("utf-8")


def test_ordinary_text_stays() -> None:
    text = "Größe 71.2 % → ✓ 日本語 é 🙂"
    assert clean(text) == text


def test_lines_keep_their_ends_and_nothing_else() -> None:
    assert clean_lines("a\nb\x1b[2J\r\n") == "a\nb␛[2J␍\n"


def test_values_that_are_not_text_are_written() -> None:
    assert clean(3) == "3"
    assert clean(ValueError("a\x1bb")) == "a␛b"
