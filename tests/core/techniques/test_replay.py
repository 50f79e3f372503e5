"""EXP-09 in a running step: what is replayed is what the stream gave, how much of it, how old it may be, resuming."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from technique_bench import run_steps, tiny_parts

from hrm_core.data.streams import choose
from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.techniques.points import LossView, Plug
from hrm_core.techniques.replay import Replay
from hrm_core.techniques.replay_ring import Int, Real, Ring
from hrm_core.training.checkpoint import load_state, save_snapshot
from hrm_core.training.step import StepParts

ON = ("techniques.replay.window=25", "techniques.replay.task_share=0.2", "training.batch=20", "augment.pool=4")


def rings(parts: StepParts) -> list[Ring]:
    plug = next(plug for plug in parts.techniques.plugs if plug.name == "replay")
    technique = plug.attach.__self__  # type: ignore[union-attr]
    assert isinstance(technique, Replay)
    return [technique.rings[lane] for lane in parts.lanes]


def watch(parts: StepParts, plug: Plug) -> None:
    parts.techniques.plugs = (*parts.techniques.plugs, plug)


@pytest.mark.parametrize("steps", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_share_cap_window_and_task_cap_hold_at_every_step(arc1_file: Path, steps: int) -> None:
    parts = tiny_parts(arc1_file, (*ON, "training.max_steps=200", "techniques.replay.task_share=0.1"))
    (lane,), (ring,) = parts.lanes, rings(parts)
    counts = []
    for step in range(steps):
        run_steps(parts, 1, start=step)
        counts.append(int(lane["replay_flag"].sum()))
        limit, kept = int(ring.limit), ring.ints[: int(ring.count)]
        assert limit == 25 * 20 // 2 // 10 == ring.size
        assert (kept[:, Int.STEP] >= step + 1 - 25).all() and (kept[:, Int.CYCLE] == 2).all()
        assert (lane["replay_since"][lane["replay_flag"]] >= step - 25 - 4).all()  # drawn at most 4 steps ago
        of_task = torch.bincount(lane.pairs.task[kept[:, Int.INDEX]])
        assert not len(kept) or int(of_task.max()) <= limit // 10
        losses = ring.reals[:, Real.LOSS].tolist()
        assert losses == sorted(losses, reverse=True)
    begin = next(step for step, count in enumerate(counts) if count)
    assert begin <= 4 and counts[begin:] == [4] * (steps - begin)
    row: dict[str, Any] = {}
    parts.techniques.row(row)
    assert row["replay_share"] == pytest.approx(4 / 20 * (steps - begin) / steps)
    assert 0 < row["replay_age"] <= 25 and 0 < row["replay_fill"] <= 1
    assert all(row[f"replay_{name}"] > 0 for name in ("loss", "fresh_loss", "drawn_loss"))
    parts.techniques.row(row)
    assert row["replay_share"] is None and row["replay_loss"] is None


def test_what_is_replayed_is_what_the_stream_gave(arc1_file: Path) -> None:
    """And the stream goes on in the other slots as if nothing had been replayed."""
    parts = tiny_parts(arc1_file, (*ON, "augment.dihedral=true", "augment.color_probability=0.5"))
    (lane,) = parts.lanes
    names = ("tokens", "labels", "task", "dihedral", "colors", "augmentation")
    given: dict[tuple[int, ...], list[list[int]]] = {}
    replayed = 0
    for step in range(24):
        admissions, halted = lane["admissions"].clone(), lane["halted"].clone()
        recipe = parts.recipe
        wanted = choose(lane.pairs, recipe.augment, recipe.training.seed, 0, 20, lane.slots, admissions)
        run_steps(parts, 1, start=step)
        for slot in halted.nonzero().flatten().tolist():
            offset = lane["replay_offset"][slot].tolist()
            sample = (int(lane["replay_index"][slot]), int(lane["augmentation"][slot]), *offset)
            seen = [lane[name][slot].tolist() for name in names]
            if lane["replay_flag"][slot]:
                replayed += 1
                assert given[sample] == seen
            else:
                given[sample] = seen
                assert int(lane["replay_index"][slot]) == int(wanted.index[slot])
                assert offset == wanted.offset[slot].tolist()
    assert replayed >= 10 and len({seen[3] for seen in given.values()}) > 3  # turned in different ways


def test_the_hardest_at_the_second_segment_are_kept(arc1_file: Path) -> None:
    """All losses seen at that segment, kept in a plain list, against the ring after each step."""
    settings = ("techniques.replay.capacity=7", "techniques.replay.task_share=1", "training.accumulation=2")
    parts = tiny_parts(arc1_file, (*ON, *settings))
    (lane,), (ring,) = parts.lanes, rings(parts)
    known: dict[tuple[int, ...], tuple[float, int]] = {}
    step = 0

    def decided(view: LossView) -> None:
        for slot in reversed(range(*view.piece.indices(lane.num_slots))):
            segment = int(lane["segment"][slot])
            sample = (
                int(lane["replay_index"][slot]),
                int(lane["augmentation"][slot]),
                *lane["replay_offset"][slot].tolist(),
            )
            since = int(lane["replay_since"][slot]) if lane["replay_flag"][slot] else step
            if segment == 2:
                known[sample] = (float(view.token_loss[slot - view.piece.start]), since)
            elif segment < 2 and lane["halted"][slot]:
                known.pop(sample, None)

    watch(parts, Plug("watch", decided=decided))
    for step in range(30):
        run_steps(parts, 1, start=step)
        recent = {sample: row for sample, row in known.items() if row[1] >= step + 1 - 25}
        known = dict(sorted(recent.items(), key=lambda item: -item[1][0])[:7])
        kept = ring.ints[: int(ring.count)].tolist()
        assert {tuple(row[:4]): row[Int.STEP] for row in kept} == {sample: row[1] for sample, row in known.items()}
    assert len(known) == 7


def test_only_training_pairs_are_kept(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ON)
    run_steps(parts, 20)
    (lane,), (ring,) = parts.lanes, rings(parts)
    index = ring.ints[: int(ring.count), Int.INDEX]
    assert int(ring.count) and not parts.recipe.data.train_on_val_tests
    demonstrations = {}
    for task, pair in zip(lane.pairs.task.tolist(), lane.pairs.pair.tolist(), strict=True):
        demonstrations.setdefault(task, set()).add(pair)
    for task, pair in zip(lane.pairs.task[index].tolist(), lane.pairs.pair[index].tolist(), strict=True):
        assert pair in demonstrations[task] and pair < max(demonstrations[task]) + 1


def test_importance_weights_last_as_long_as_their_sample(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, (*ON, "techniques.replay.importance=true", "techniques.replay.beta=0.5"))
    (lane,) = parts.lanes
    before: dict[int, float] = {}
    for step in range(20):
        halted = lane["halted"].clone()
        run_steps(parts, 1, start=step)
        weight, flag = lane["replay_weight"].tolist(), lane["replay_flag"].tolist()
        for slot in range(lane.num_slots):
            assert 0 < weight[slot] <= 1 and (flag[slot] or weight[slot] == 1.0)
            assert halted[slot] or weight[slot] == before[slot]
        before = dict(enumerate(weight))
    assert any(value < 1.0 for value in before.values())
    losses = torch.arange(1.0, 21.0)
    assert parts.techniques.weigh(lane, slice(0, 20), losses).tolist() == (losses * lane["replay_weight"]).tolist()
    plug = next(plug for plug in parts.techniques.plugs if plug.name == "replay")
    assert math.isclose(float(plug.attach.__self__.beta), 0.5 + 0.5 * 19 / 20, abs_tol=1e-6)  # type: ignore[union-attr]


def test_resumed_through_its_file(arc1_file: Path, tmp_path: Path) -> None:
    """Not in state.safetensors: the rings come from replay.h5 alone, and go on as if nothing had happened."""
    straight = tiny_parts(arc1_file, ON)
    run_steps(straight, 18)
    first = tiny_parts(arc1_file, ON)
    run_steps(first, 11)
    folder = tmp_path / "step-00000011"
    save_snapshot(folder, first, ("task",), {"kind": "checkpoint", "step": 11}, {"step": 11})
    second = tiny_parts(arc1_file, ON)
    load_state(folder, second)
    for saved, loaded in zip(rings(first), rings(second), strict=True):
        assert int(saved.count) and all(map(torch.equal, saved.tensors().values(), loaded.tensors().values()))
    run_steps(second, 7, start=11)
    for whole, resumed in zip(rings(straight), rings(second), strict=True):
        assert torch.equal(whole.ints, resumed.ints) and torch.equal(whole.reals[:, :2], resumed.reals[:, :2])
    (folder / "replay.h5").unlink()
    with pytest.raises(UserError, match=r"replay\.h5 cannot be read"):
        load_state(folder, second)


def test_a_run_made_longer_or_shorter_takes_its_buffer_along(arc1_file: Path, tmp_path: Path) -> None:
    """The window is a share of the run, and the ring's size follows from it."""
    settings = (*ON, "techniques.replay.window=0.5")
    first = tiny_parts(arc1_file, (*settings, "training.max_steps=40"))
    run_steps(first, 12)
    save_snapshot(tmp_path / "step", first, ("task",), {"kind": "checkpoint", "step": 12}, {"step": 12})
    for length, size in ((20, 10), (80, 40)):
        other = tiny_parts(arc1_file, (*settings, f"training.max_steps={length}"))
        load_state(tmp_path / "step", other)
        (before,), (after,) = rings(first), rings(other)
        kept = min(size, int(before.count))
        assert after.size == size and int(after.count) == kept
        assert torch.equal(after.ints[:kept], before.ints[:kept])
        run_steps(other, 2, start=12)


def test_a_share_above_the_cap_is_refused() -> None:
    with pytest.raises(UserError, match=r"techniques.replay.share=0.5 exceeds techniques.replay.cap=0.25"):
        build_recipe("EXP-09", ["techniques.replay.share=0.5"])
