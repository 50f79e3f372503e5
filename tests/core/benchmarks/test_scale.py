"""Speed-up and efficiency of ranks: what is made of the speeds, what a step sends, and one real pair of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrm_core.benchmarks import scale_page
from hrm_core.benchmarks.machine import Machine
from hrm_core.benchmarks.scale import Ranks, Scale, exchange_bytes, measure_scale, speed_of
from hrm_core.errors import UserError

MACHINE = Machine("a CPU", "cpu", None, 1, {"python": "3", "torch": "2", "triton": "3"}, "abc", "2026-11-27", 0.5)


def test_ratios_are_of_the_same_round() -> None:
    found = Scale("EXP-00", 320, 7, (Ranks(1, (100.0, 50.0, 10.0)), Ranks(2, (150.0, 90.0, 19.0))), MACHINE)
    assert found.speedup(found.found[1]) == pytest.approx(1.8)
    assert found.efficiency(found.found[1]) == pytest.approx(0.9)
    assert found.efficiency(found.found[0]) == 1.0
    text = scale_page.page(scale_page.page(None, found), found)
    assert text.count("# Several ranks") == 1 and text.count("| 1.80 | 90 % | 3 |") == 2


def test_a_speed_leaves_the_first_third_out() -> None:
    assert speed_of([1.0, 1.0, 10.0, 20.0, 30.0, 40.0]) == 25.0
    with pytest.raises(UserError, match="--steps"):
        speed_of([])


@pytest.mark.parametrize("ranks", [2, 8, 64])
def test_a_ring_sends_each_part_twice_and_rows_go_to_all(ranks: int) -> None:
    trunk, slots, hidden = 64_000, 128, 16
    sent = 0.0
    for _ in range(2):  # once to sum, once to spread what is summed
        sent += (ranks - 1) * (trunk / ranks) * 4
    sent += (slots / ranks) * (16 * 4 + 8) * (ranks - 1)
    assert exchange_bytes(trunk, slots, hidden, ranks) == pytest.approx(sent)
    assert exchange_bytes(trunk, slots, hidden, 1) == 0.0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_runs_by_one_and_two_ranks_are_timed(tmp_path: Path, arc1_file: Path) -> None:
    small = "model.hidden=32 model.heads=1 model.h_layers=1 model.l_layers=1 training.batch=4 halting.max_segments=2"
    words = ("EXP-00", "preset=cpu", "training.device=cpu", "training.threads=1", *small.split())
    said: list[str] = []
    found = measure_scale(words, (1, 2), 15, 1, arc1_file, tmp_path, said.append)
    assert [one.ranks for one in found.found] == [1, 2] and all(one.speed > 0 for one in found.found)
    assert found.slots == 4 and len(said) == 2
    with pytest.raises(UserError, match=r"a run by 1 ranks ended with 2: error: run .* exists already"):
        measure_scale(words, (1,), 15, 1, arc1_file, tmp_path, said.append)
