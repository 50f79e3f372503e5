"""Rings of dead objects go while nobody types, and what was there at the start is not looked through again."""

from __future__ import annotations

import gc
import platform
import weakref
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from hrm_console import collecting as module
from hrm_console.collecting import LATEST_S, LEAST_REST_S, MUCH, REST_S, Collecting, rarely, trim


class Ring:
    """Refers to itself, so that only a round of the collector lets it go."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def by_hand() -> Iterator[None]:
    before = gc.get_threshold()
    gc.disable()
    gc.collect()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)
    gc.enable()


def middle_aged_ring() -> weakref.ref[Ring]:
    ring = Ring()
    gc.collect(1)  # which it outlives
    return weakref.ref(ring)


def test_a_full_round_waits_until_the_keys_rest() -> None:
    collecting = Collecting()
    ring = middle_aged_ring()
    collecting.typed()
    assert not collecting.tick()
    assert ring() is not None
    collecting.typed_s -= REST_S
    assert collecting.tick()
    assert ring() is None
    assert not collecting.tick()  # nothing new to look at


@pytest.mark.parametrize(("screens", "rest_s"), [(1, REST_S), (2, REST_S / 2), (MUCH - 1, LEAST_REST_S)])
def test_the_more_screens_were_left_the_shorter_a_rest_is_enough(
    screens: int, rest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    gc.collect()
    collecting = Collecting()
    for _ in range(screens):
        collecting.left()
    ring = weakref.ref(Ring())
    now[0] += 0.9 * rest_s
    assert not collecting.tick()
    now[0] += 0.2 * rest_s
    assert collecting.tick()
    assert ring() is None
    assert not collecting.tick()


def test_keys_that_never_rest_put_it_off_for_a_minute_only() -> None:
    collecting = Collecting()
    ring = middle_aged_ring()
    collecting.last_s -= LATEST_S
    collecting.typed()
    assert collecting.tick()
    assert ring() is None


def test_many_screens_are_let_go_whatever_the_keys_do() -> None:
    collecting = Collecting()
    ring = middle_aged_ring()
    for _ in range(MUCH):
        collecting.left()
    collecting.typed()
    assert collecting.tick()
    assert ring() is None


def test_what_was_there_at_the_start_is_left_alone_and_nothing_full_comes_by_itself() -> None:
    kept = Ring()
    Collecting().settled()
    assert all(thing is not kept for thing in gc.get_objects())
    rarely()
    young, middle, full = gc.get_threshold()
    assert young >= 5_000
    assert middle >= 10
    assert full > 1000 * middle


def test_free_memory_between_what_is_held_goes_back_where_the_c_library_can() -> None:
    blocks = [bytearray(2_000) for _ in range(2_000)]
    held = blocks[::7]
    del blocks
    assert trim() is (platform.libc_ver()[0] == "glibc")
    assert len(held) == 286
