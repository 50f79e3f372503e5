"""The file of a sweep: which runs belong, in which order, and what may be added to one that was begun."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.runs.sweeps import Sweep, default_name, extend_sweep, read_sweep, sweep_path


def order(sweep: Sweep) -> list[tuple[str, int]]:
    return [(run.experiment, run.seed) for run in sweep.runs]


def test_first_seeds_come_first_and_extra_controls_early() -> None:
    sweep = Sweep("s", ("A", "B", "C"), 2, 5, ())
    assert order(sweep) == [
        ("A", 1), ("A", 2), ("A", 3), ("B", 1), ("C", 1),
        ("A", 4), ("A", 5), ("B", 2), ("C", 2),
    ]  # fmt: skip
    assert sweep.runs[3].name == "s-B-s1"
    assert order(Sweep("s", ("A",), 3, 3, ())) == [("A", 1), ("A", 2), ("A", 3)]
    nine = Sweep("s", ("A", "B"), 3, 9, ())
    assert sorted(order(nine)) == sorted([("A", seed) for seed in range(1, 10)] + [("B", seed) for seed in (1, 2, 3)])


def test_a_sweep_can_grow_but_not_change(tmp_path: Path) -> None:
    first = extend_sweep(tmp_path, Sweep("s", ("A", "B"), 1, 3, ("preset=cpu",)))
    assert read_sweep(tmp_path, "s") == first
    grown = extend_sweep(tmp_path, Sweep("s", ("A", "C"), 2, 2, ("preset=cpu",)))
    assert grown == Sweep("s", ("A", "B", "C"), 2, 3, ("preset=cpu",)) == read_sweep(tmp_path, "s")
    for other in (Sweep("s", ("B", "A"), 1, 1, ("preset=cpu",)), Sweep("s", ("A",), 1, 1, ())):
        with pytest.raises(UserError, match="was begun with A preset=cpu"):
            extend_sweep(tmp_path, other)


def test_a_sweep_without_a_name_is_found_again() -> None:
    name = default_name(["A", "B"], ["x=1", "y=2"])
    assert name == default_name(["A", "C"], ["y=2", "x=1"])
    assert name != default_name(["B"], ["x=1", "y=2"])


def test_names_that_are_too_long_and_files_that_are_damaged(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not allowed"):
        extend_sweep(tmp_path, Sweep("s" * 60, ("EXP-00",), 1, 1, ()))
    extend_sweep(tmp_path, Sweep("good", ("A",), 1, 1, ()))
    sweep_path(tmp_path, "bad").write_text('{"experiments": 3}')
    with pytest.raises(UserError, match=r"no sweep bad .* there are bad, good"):
        read_sweep(tmp_path, "bad")


@pytest.mark.parametrize("key", ["seeds", "control_seeds"])
@pytest.mark.parametrize("number", [2**62, 1001, 0, -3, 1.5, "3", None])
def test_numbers_that_no_sweep_has_are_no_sweep(tmp_path: Path, key: str, number: object) -> None:
    row = {"name": "s", "experiments": ["A"], "seeds": 1, "control_seeds": 1, "overrides": []}
    path = sweep_path(tmp_path, "s")
    path.parent.mkdir()
    path.write_text(json.dumps(row))
    assert read_sweep(tmp_path, "s").runs
    path.write_text(json.dumps({**row, key: number}))
    with pytest.raises(UserError, match="there is no sweep s"):
        read_sweep(tmp_path, "s")


def test_a_flipped_bit_is_said_and_an_edit_without_the_seal_is_taken(tmp_path: Path) -> None:
    extend_sweep(tmp_path, Sweep("s", ("A", "B"), 1, 3, ("training.batch=32",)))
    path = sweep_path(tmp_path, "s")
    edited = path.read_text().replace("batch=32", "batch=33")
    path.write_text(edited)
    for read in (lambda: read_sweep(tmp_path, "s"), lambda: extend_sweep(tmp_path, Sweep("s", ("A",), 1, 1, ()))):
        with pytest.raises(UserError, match=r"is damaged: .* not what was written") as caught:
            read()
        assert caught.value.exit_code == 1
    row = json.loads(edited)
    del row["seal"]
    path.write_text(json.dumps(row))
    assert read_sweep(tmp_path, "s").overrides == ("training.batch=33",)
