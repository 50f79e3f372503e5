"""Several processes that train one run: the run of one, saved and resumed by any number, and what a lost one does."""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from small_step import NUM_TASKS, make_parts
from small_step import recipe as small_recipe
from small_trainer import TINY_MODEL

from hrm_core.cli.main import cli
from hrm_core.errors import UserError
from hrm_core.learning.lanes import LaneState, Share
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.control import request
from hrm_core.runs.reader import evaluation_rows, events, metrics_rows, read_status
from hrm_core.runs.snapshots import newest_first
from hrm_core.runs.world import ALONE, World, environment_of, refuse_whole_lane, world_for, world_of
from hrm_core.training.crew import Crew, told

HRM = (sys.executable, "-m", "hrm_core.cli")
TORCHRUN = (
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--max-restarts=0",
    "--nproc-per-node=2",
    "-m",
    "hrm_core.cli",
)
# One lane of 8 slots in pieces of 4: those of one process are the shares of two, so that even the last bit is the same.
# Halting goes by draws alone: the logits keep the value 0, which is no wish to halt.
RUN = (
    *TINY_MODEL,
    "training.accumulation=2",
    "training.log_every=5",
    "training.threads=1",
    "training.device=cpu",
    "training.checkpoint_every=1000",
    "training.fast_validation_every=1000",
    "training.full_validation_every=1000",
    "training.early_stop=false",
    "schedule.warmup=2",
    "schedule.kind=constant",
    "halting.bias=0",
    "halting.weight=0",
    "halting.max_segments=4",
    "evaluation.batch=8",
)


def rounded(value: object) -> object:
    """Numbers to nine digits, also those in lists."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return f"{value:.9g}" if isinstance(value, float) else value


def hrm(*words: str, start: tuple[str, ...] = HRM) -> subprocess.CompletedProcess[str]:
    """A command to its end; that it was done is part of the test."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run([*start, *words], check=False, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def begin(name: str, runs: Path, data: Path, *more: str) -> tuple[str, ...]:
    """Words of a run of the demonstration's recipe."""
    return ("run", "demo", *RUN, *more, "--name", name, "--runs", str(runs), "--data", str(data))


def state(runs: Path, name: str) -> dict[str, torch.Tensor]:
    """Every tensor of the newest checkpoint."""
    return load_file(newest_first(runs / name / "checkpoints")[0] / "state.safetensors")


def assert_same_run(runs: Path, first: str, second: str) -> None:
    """Same state to the last bit, same rows but for clocks."""
    one, two = state(runs, first), state(runs, second)
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    counted = ("step", "samples", "puzzles", "token_loss", "halt_loss", "token_accuracy", "grad_norm", "mean_segments")
    rows = [[{name: row[name] for name in counted} for row in metrics_rows(runs / run)] for run in (first, second)]
    assert rows[0] == [{name: pytest.approx(row[name], rel=1e-9) for name in counted} for row in rows[1]]
    # Validations to the last bit: pieces are cut where one rank cuts them.
    measured = (
        "step",
        "kind",
        "loss",
        "metrics",
        "halting",
        "halting_analysis",
        "calibration",
        "families",
        "input_gain",
    )
    last = max(row["step"] for row in evaluation_rows(runs / first))
    validations = [
        [{name: row[name] for name in measured} for row in evaluation_rows(runs / run) if row["step"] == last]
        for run in (first, second)
    ]
    assert validations[0] == validations[1]
    assert {row["kind"] for row in validations[0]} == {"fast", "full"}


def test_shares_cover_every_slot_once_in_the_order_of_the_ranks() -> None:
    for size in range(1, 6):
        for slots in range(12):
            found = [slot for rank in range(size) for slot in Share(rank, size).of(slots)]
            assert found == list(range(slots))
            counts = [len(Share(rank, size).of(slots)) for rank in range(size)]
            assert max(counts) - min(counts) <= 1


def test_the_world_is_what_torchrun_says() -> None:
    assert world_of({}) == ALONE and world_of({"RANK": "1", "WORLD_SIZE": "2"}) == ALONE
    world = World(3, 4, 1, 2)
    assert world_of(environment_of(world, "127.0.0.1", 5, {"A": "b"})) == world
    assert environment_of(world, "127.0.0.1", 5, {"A": "b"})["A"] == "b"


@pytest.mark.parametrize(
    ("rank", "size", "local"), [("2", "2", "0"), ("-1", "2", "0"), ("x", "2", "0"), ("1", "2", "2")]
)
def test_a_rank_that_cannot_be_is_refused(rank: str, size: str, local: str) -> None:
    told_by = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": local, "LOCAL_WORLD_SIZE": "2"}
    with pytest.raises(UserError, match="no such rank"):
        world_of({**told_by, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"})


def test_gpus_and_torchrun_must_agree() -> None:
    assert world_for(None, {}) == world_for(1, {}) == ALONE
    assert world_for(2, {}) == World(size=2, here=2, own=True)
    started = environment_of(World(0, 2, 0, 2), "127.0.0.1", 5, {})
    assert world_for(2, started) == world_for(None, started) == World(0, 2, 0, 2)
    with pytest.raises(UserError, match="--gpus 3: torchrun has started 2 processes"):
        world_for(3, started)


def test_techniques_that_look_at_whole_lanes_are_refused_on_several() -> None:
    replay = build_recipe("EXP-09", ()).recipe.techniques
    refuse_whole_lane(replay, 1)
    refuse_whole_lane(build_recipe("EXP-00", ()).recipe.techniques, 8)
    with pytest.raises(UserError, match=r"techniques.replay .* one GPU only, not on 2"):
        refuse_whole_lane(replay, 2)


def test_they_are_refused_before_anything_is_begun(tmp_path: Path) -> None:
    for more in ((), ("--detach",)):
        made = CliRunner().invoke(cli, ["run", "EXP-09", "preset=cpu", "--gpus", "2", "--runs", str(tmp_path), *more])
        assert (made.exit_code, len(made.output.splitlines())) == (2, 2), made.output
        assert "techniques.replay" in made.output
    assert list(tmp_path.iterdir()) == []


def test_rows_of_all_ranks_come_in_the_order_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lane by lane, slot by slot, though each rank sends all its lanes at once and some have fewer slots."""
    whole = make_parts(small_recipe())
    assert any(lane.num_slots % 4 for lane in whole.lanes)
    for lane in whole.lanes:
        lane["task"].copy_(torch.arange(lane.num_slots) % NUM_TASKS)
        lane.row_gradients.copy_(torch.randn(lane.row_gradients.shape))
    crews = [Crew(World(rank, 4)) for rank in range(4)]
    ranks = [whole._replace(lanes=[shared(lane, crew.share) for lane in whole.lanes], crew=crew) for crew in crews]
    sent: list[list[torch.Tensor]] = []

    class Distributed:
        all_reduce = staticmethod(lambda values, group: None)

        @staticmethod
        def all_gather(found: list[torch.Tensor], mine: torch.Tensor, group: object) -> None:
            sent[-1].append(mine.clone())
            for place, others in zip(found, sent, strict=False):
                place.copy_(others[len(sent[-1]) - 1])

    monkeypatch.setattr("hrm_core.training.crew.distributed", Distributed)
    for crew, parts in zip(crews, ranks, strict=True):
        sent.append([])
        crew.exchange(parts)
    index = torch.cat([whole.model.rows.index(lane.identity()) for lane in whole.lanes])
    assert torch.equal(crews[-1].index, index)  # the last one has heard all
    assert torch.equal(crews[-1].gradients, torch.cat([lane.row_gradients for lane in whole.lanes]))


def shared(lane: LaneState, share: Share) -> LaneState:
    """The lane as one rank has it."""
    mine = share.of(lane.num_slots)
    part = copy.copy(lane)
    part.buffers = {name: value[mine.start : mine.stop] for name, value in lane.buffers.items()}
    part.row_gradients, part.mine, part.count = lane.row_gradients[mine.start : mine.stop], mine, len(mine)
    return part


def test_what_torch_says_of_a_lost_rank_is_two_lines_without_its_paths() -> None:
    class Crew:
        world = World(0, 2)

    with pytest.raises(UserError) as caught, told(Crew()):  # type: ignore[arg-type]
        raise RuntimeError("[/a/gloo/pair.cc:553] Connection closed by peer [127.0.0.1]:1. This is\na trace")
    assert caught.value.message.splitlines() == [
        "rank 0 of 2 lost another rank of this run (Connection closed by peer [127.0.0.1]:1).",
        "`hrm resume` goes on from the last checkpoint, with any number of GPUs.",
    ]
    with pytest.raises(RuntimeError, match="a shape"), told(Crew()):  # type: ignore[arg-type]
        raise RuntimeError("a shape is wrong")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_ranks_train_the_run_that_one_trains(tmp_path: Path, arc1_file: Path) -> None:
    """200 steps, started by `--gpus 2` and by torchrun."""
    hrm(*begin("one", tmp_path, arc1_file, "training.max_steps=200"))
    hrm(*begin("two", tmp_path, arc1_file, "training.max_steps=200"), "--gpus", "2")
    hrm(*begin("torchrun", tmp_path, arc1_file, "training.max_steps=200"), start=TORCHRUN)
    for name in ("two", "torchrun"):
        assert_same_run(tmp_path, "one", name)
        assert [row["step"] for row in metrics_rows(tmp_path / name)] == list(range(5, 201, 5))
        (started,) = (event for event in events(tmp_path / name) if event["kind"] == "started")
        assert started["ranks"] == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_one_two_ranks_are_the_same_run(tmp_path: Path, arc1_file: Path) -> None:
    where = ("--runs", str(tmp_path))
    hrm(*begin("one", tmp_path, arc1_file, "training.max_steps=30"))
    hrm(*begin("more", tmp_path, arc1_file, "training.max_steps=10"), "--gpus", "2")
    hrm("resume", "more", "training.max_steps=20", *where)
    hrm("resume", "more", "training.max_steps=30", *where, "--gpus", "2")
    assert_same_run(tmp_path, "one", "more")
    resumed = [event["ranks"] for event in events(tmp_path / "more") if event["kind"] == "resumed"]
    assert resumed == [1, 2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_ranks_have_the_techniques_of_one(tmp_path: Path, arc1_file: Path) -> None:
    """Stages, which replace lanes; masks by slot; counts of slots; a swap of the optimizer; rows by Adam."""
    more = (
        "techniques.curriculum.ends=5,10 techniques.drop_path=on techniques.halting_entropy.after=1 "
        "techniques.rule_head=on techniques.gradient_noise=on techniques.lion_swap.start=12 techniques.swa_tail=on "
        "rows.kind=adam"
    )
    words = ("training.max_steps=15", *more.split())
    hrm(*begin("one", tmp_path, arc1_file, *words))
    hrm(*begin("two", tmp_path, arc1_file, *words), "--gpus", "2")
    assert_same_run(tmp_path, "one", "two")
    names = ("halting_histogram", "halting_entropy_by_segment", "rule_head_loss", "stage", "lr")
    shown = [[[rounded(row[name]) for name in names] for row in metrics_rows(tmp_path / run)] for run in ("one", "two")]
    assert shown[0] == shown[1]
    kinds = [[event["kind"] for event in events(tmp_path / run)] for run in ("one", "two")]
    assert kinds[0] == kinds[1] and kinds[0].count("stage") == 3 and "optimizer_swapped" in kinds[0]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_shares_that_are_not_pieces_differ_by_rounding_only(tmp_path: Path, arc1_file: Path) -> None:
    """9 slots, of which one rank has 4 and the other 5: sums are rounded in another order."""
    words = ("training.max_steps=15", "training.batch=9", "training.accumulation=1")
    hrm(*begin("one", tmp_path, arc1_file, *words))
    hrm(*begin("two", tmp_path, arc1_file, *words), "--gpus", "2")
    one, two = state(tmp_path, "one"), state(tmp_path, "two")
    assert one.keys() == two.keys()
    for name, value in one.items():
        if not value.is_floating_point():
            assert torch.equal(value, two[name]), name
        elif name in ("trunk", "rows"):
            assert float((value - two[name]).norm() / value.norm()) < 1e-5, name
    losses = [[row["token_loss"] for row in metrics_rows(tmp_path / run)] for run in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def wait_for_checkpoint(folder: Path, leader: subprocess.Popen[str]) -> None:
    """Until the run has saved once."""
    end = time.monotonic() + 200
    while not newest_first(folder / "checkpoints"):
        assert leader.poll() is None and time.monotonic() < end, leader.poll()
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_rank_ends_the_run_and_a_resume_goes_on(tmp_path: Path, arc1_file: Path) -> None:
    words = begin("one", tmp_path, arc1_file, "training.max_steps=1000000", "training.checkpoint_every=10")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    leader = subprocess.Popen(
        [*HRM, *words, "--gpus", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    folder = tmp_path / "one"
    try:
        wait_for_checkpoint(folder, leader)
        (follower,) = psutil.Process(leader.pid).children()
        doors = [
            door.laddr.ip
            for process in (follower, psutil.Process(leader.pid))
            for door in process.net_connections()
            if door.status == psutil.CONN_LISTEN
        ]
        assert doors and set(doors) == {"127.0.0.1"}  # nobody on another machine reaches them
        os.kill(follower.pid, signal.SIGKILL)
        _, said = leader.communicate(timeout=120)
    finally:
        leader.kill()
    assert leader.returncode == 1
    assert re.search(r"error: rank 0 of 2 lost another rank of this run", said) and "Traceback" not in said, said
    assert len([line for line in said.splitlines() if line.strip()]) == 2, said
    result = json.loads((folder / "result.json").read_text())
    assert result["state"] == "failed" and "`hrm resume` goes on" in result["reason"]

    resumed = subprocess.Popen(
        [*HRM, "resume", "one", "--runs", str(tmp_path), "--gpus", "2"], stdout=subprocess.DEVNULL, env=environment
    )
    try:
        end = time.monotonic() + 200
        while read_status(folder).get("global_step", 0) <= result["step"] or read_status(folder)["state"] != "running":
            assert resumed.poll() is None and time.monotonic() < end
            request(folder, "checkpoint")
            time.sleep(0.2)
        request(folder, "stop")
        assert resumed.wait(120) == 0
    finally:
        resumed.kill()
    steps = [row["step"] for row in metrics_rows(folder)]
    assert steps == list(range(5, steps[-1] + 1, 5))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_followers_end_with_the_rank_that_started_them(tmp_path: Path, arc1_file: Path) -> None:
    words = begin("one", tmp_path, arc1_file, "training.max_steps=1000000", "training.checkpoint_every=10")
    leader = subprocess.Popen([*HRM, *words, "--gpus", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_checkpoint(tmp_path / "one", leader)
        (follower,) = psutil.Process(leader.pid).children()
    finally:
        leader.kill()
        leader.wait()
    follower.wait(60)  # psutil.TimeoutExpired if it lives on
