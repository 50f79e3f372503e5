"""The queue's worker against a stand-in for the trainer: order, after, holds, pins, quick deaths, kill -9, stops."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from queue_stand_in import Bench, settings_with
from waiting import wait_for

from hrm_core.errors import UserError
from hrm_core.runs.control import request
from hrm_core.runs.devices import Device
from hrm_core.runs.locks import holder
from hrm_core.runs.queue import hold, move, remove, retry
from hrm_core.runs.queue_status import ask_stop, last_log_lines, read_worker, start_worker
from hrm_core.runs.queue_store import change, read_queue
from hrm_core.runs.reader import events, read_run


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def begun(bench: Bench) -> list[str]:
    """The runs in the order in which they began."""
    lines = [line for line in last_log_lines(bench.runs, 200) if ": started as " in line or ": resumed as " in line]
    return [line.partition(" as ")[2].split()[0] for line in lines]


def test_entries_run_in_their_order_and_the_worker_ends(bench: Bench) -> None:
    for _ in range(3):
        bench.put("finish")
    move(bench.runs, "3", "first")
    assert bench.work() == "nothing is left to run (3 done)"
    assert begun(bench) == ["r3", "r1", "r2"]
    assert bench.states() == {"1": "done", "2": "done", "3": "done"}
    words = events(bench.runs / "r1")[0]
    assert words["words"] == ["run", "EXP-00", "do=finish", "--name", "r1", "--runs", str(bench.runs)]
    entry = bench.entry("1")
    assert entry.attempts == 1 and entry.ended_s is not None and entry.started_s is not None
    worker = read_worker(bench.runs)
    assert (worker.alive, worker.died, worker.words) == (False, False, "nothing is left to run (3 done)")


def test_a_run_is_called_where_its_entry_was_made_with_its_data_and_snapshot(bench: Bench, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    there.mkdir()
    bench.put("finish", folder=str(there), data="/d.h5", source="/a/best-00000010", name=None)
    bench.work()
    run_id = bench.entry("1").run_id
    assert run_id is not None and run_id.startswith("EXP-00-")
    said = events(bench.runs / run_id)[0]
    assert said["here"] == str(there)
    assert said["words"][-4:] == ["--data", "/d.h5", "--from", "/a/best-00000010"]


def test_what_is_to_run_after_another_waits_and_is_held_where_that_failed(bench: Bench) -> None:
    bench.put("finish", after="2")
    bench.put("finish")
    bench.put("fail")
    bench.put("finish", after="3")
    bench.put("finish", after="4")
    assert bench.work() == "nothing can run: 1 entry is held and 1 wait for held ones"
    assert begun(bench) == ["r2", "r1", "r3"]
    assert bench.states() == {"1": "done", "2": "done", "3": "failed", "4": "held", "5": "waiting"}
    assert bench.entry("4").reason == "3 (EXP-00), which it was to run after, has failed"
    assert bench.entry("3").reason == "as told"


def test_held_entries_are_passed_over(bench: Bench) -> None:
    bench.put("finish")
    bench.put("finish")
    hold(bench.runs, ["1"], "not yet")
    assert bench.work() == "nothing can run: 1 entry is held"
    assert bench.states() == {"1": "held", "2": "done"}


def test_an_entry_whose_pins_differ_is_held_with_a_word_and_the_next_one_runs(bench: Bench) -> None:
    bench.put("finish")
    bench.put("finish")
    bench.work(differs=lambda entry: ["the commit was aaaa and is bbbb"] if entry.id == "1" else [])
    assert bench.states() == {"1": "held", "2": "done"}
    assert (bench.entry("1").held_for, bench.entry("1").reason) == ("pins", "the commit was aaaa and is bbbb")


@pytest.mark.parametrize("do", ["fail", "crash"])
def test_a_run_that_fails_at_once_stops_the_queue(bench: Bench, do: str) -> None:
    bench.put(do)
    bench.put("finish")
    said = bench.work(quick_s=60.0)
    assert bench.states() == {"1": "failed", "2": "waiting"}
    stopped = read_queue(bench.runs).stopped
    assert said == f"stopped: {stopped}"
    words = {"fail": "as told", "crash": "nothing works"}[do]
    assert stopped.startswith("1 (EXP-00) failed after ") and stopped.endswith(f" s: {words}")
    # Started again, it goes on with the next one.
    assert bench.work(quick_s=60.0).startswith("nothing is left")
    assert bench.states() == {"1": "failed", "2": "done"}
    assert read_queue(bench.runs).stopped == ""


def test_the_users_command_hears_of_a_queue_that_has_stopped(bench: Bench, tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = ("sh", "-c", 'printf "%s|%s" "$1" "$2" > "$0.new" && mv "$0.new" "$0"', str(said))
    bench.put("fail")
    bench.work(quick_s=60.0, settings=lambda: settings_with(command=command))
    wait_for(said.exists)
    title, _, text = said.read_text().partition("|")
    assert title == "hrm: the queue has stopped" and text == read_queue(bench.runs).stopped


def test_the_users_command_hears_of_a_run_that_could_say_nothing_itself(bench: Bench, tmp_path: Path) -> None:
    """One that fails tells it itself; of one that is killed only the worker can."""
    said = tmp_path / "said"
    command = ("sh", "-c", 'printf "%s|%s\n" "$1" "$2" >> "$0"', str(said))
    bench.put("fail")
    bench.put("wait")

    def kill_it() -> None:
        wait_for(lambda: read_run(bench.runs / "r2").step == 1)
        os.kill(holder(bench.runs / "r2") or 0, signal.SIGKILL)

    thread = threading.Thread(target=kill_it)
    thread.start()
    bench.work(settings=lambda: settings_with(command=command))
    thread.join()
    wait_for(said.exists)
    assert said.read_text().splitlines() == ["hrm: r2 is gone|killed by signal 9 (the machine may be out of memory)"]
    assert bench.states() == {"1": "failed", "2": "failed"}


def test_a_run_that_fails_later_does_not_stop_the_queue(bench: Bench) -> None:
    bench.put("fail")
    bench.put("finish")
    bench.work(quick_s=0.0)
    assert bench.states() == {"1": "failed", "2": "done"}


def test_a_run_that_a_person_stops_does_not_stop_the_queue(bench: Bench) -> None:
    bench.put("wait")
    bench.put("finish")
    worker = bench.start(quick_s=60.0)
    wait_for(lambda: read_run(bench.runs / "r1").step == 1)
    request(bench.runs / "r1", "stop")
    assert worker.wait(30) == 0
    assert bench.states() == {"1": "stopped", "2": "done"}
    assert bench.entry("1").reason == "by request"


def test_a_retry_goes_on_with_its_run_or_begins_another(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrm_core.runs.queue.pins_now", lambda *words: bench.entry("1").pins)
    bench.put("resume")
    bench.put("fail")
    bench.work()
    assert bench.states() == {"1": "failed", "2": "failed"}
    retry(bench.runs, ["1"])
    retry(bench.runs, ["2"], fresh=True)
    bench.work()
    assert bench.states() == {"1": "done", "2": "failed"}
    assert events(bench.runs / "r1")[-1]["words"] == ["resume", "r1", "--runs", str(bench.runs)]
    assert bench.entry("2").run_id == "r2-2"


def test_a_retry_without_a_checkpoint_begins_anew_from_its_snapshot(bench: Bench, tmp_path: Path) -> None:
    bench.put("fail", source="/a/best-00000010")
    bench.work()
    change(bench.runs, lambda queue: queue.changed("1", state="waiting"))
    bench.work()
    assert bench.entry("1").run_id == "r1-2"
    assert events(bench.runs / "r1-2")[0]["words"][-2:] == ["--from", "/a/best-00000010"]
    (bench.runs / "r1-2" / "checkpoints" / "step-00000001").mkdir()
    change(bench.runs, lambda queue: queue.changed("1", state="waiting"))
    bench.work()
    assert events(bench.runs / "r1-2")[-1]["words"][0] == "resume"


def test_killed_and_started_again_the_worker_finds_the_run_that_went_on(bench: Bench) -> None:
    bench.put("wait")
    bench.put("finish")
    first = bench.start()
    wait_for(lambda: read_run(bench.runs / "r1").step == 1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    view = read_worker(bench.runs)
    assert not view.alive and view.died and "without a word" in view.words
    assert bench.states() == {"1": "running", "2": "waiting"}
    pid = holder(bench.runs / "r1")
    second = bench.start()
    wait_for(lambda: read_worker(bench.runs).words == "1 running: r1")
    assert holder(bench.runs / "r1") == pid
    request(bench.runs / "r1", "stop")
    assert second.wait(30) == 0
    assert bench.states() == {"1": "stopped", "2": "done"}
    assert begun(bench) == ["r1", "r2"]


def test_after_a_reboot_what_was_cut_off_goes_on(bench: Bench) -> None:
    bench.put("wait")
    bench.put("finish")
    worker = bench.start(quick_s=60.0)
    wait_for(lambda: read_run(bench.runs / "r1").step == 1)
    worker.kill()
    worker.wait()
    pid = holder(bench.runs / "r1")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: bench.states() == {"1": "waiting", "2": "waiting"})
    assert bench.entry("1").reason == "its process is gone at step 1; goes on from its last checkpoint"
    assert bench.work(quick_s=60.0) == "nothing is left to run (2 done)"
    assert begun(bench) == ["r1", "r1", "r2"]
    assert bench.entry("1").attempts == 2


def test_a_machine_that_goes_down_in_order_stops_nothing_for_good(bench: Bench) -> None:
    """SIGTERM to all: the worker leaves at once, the run writes its checkpoint and says which signal stopped it."""
    bench.put("wait")
    worker = bench.start(quick_s=60.0)
    wait_for(lambda: read_run(bench.runs / "r1").step == 1)
    pid = holder(bench.runs / "r1")
    assert pid is not None
    worker.terminate()
    os.kill(pid, signal.SIGTERM)
    assert worker.wait(30) == 0
    wait_for(lambda: holder(bench.runs / "r1") is None)
    assert bench.states() == {"1": "waiting"}
    assert bench.entry("1").reason == "cut off at step 1 by a signal SIGTERM; goes on from there"
    bench.work(quick_s=60.0)
    assert bench.states() == {"1": "done"}


def test_what_ended_while_no_worker_watched_is_known(bench: Bench) -> None:
    bench.put("wait")
    worker = bench.start()
    wait_for(lambda: read_run(bench.runs / "r1").step == 1)
    assert ask_stop(bench.runs) == (True, [])
    assert worker.wait(30) == 0
    assert bench.states() == {"1": "running"}
    assert read_worker(bench.runs).words == "stopped as asked"
    assert ask_stop(bench.runs, runs_too=True) == (False, ["r1"])
    wait_for(lambda: bench.states() == {"1": "stopped"})
    remove(bench.runs, ["1"])
    assert bench.states() == {}


def test_of_two_workers_one_works(bench: Bench) -> None:
    bench.put("wait")
    first = bench.start()
    with pytest.raises(UserError, match=f"the queue is in use by process {first.pid}; that worker starts"):
        bench.work()
    with pytest.raises(UserError, match=f"worked on already .process {first.pid}."):
        start_worker(bench.runs, ["/bin/false"])
    wait_for(lambda: read_run(bench.runs / "r1").step == 1)
    request(bench.runs / "r1", "stop")
    assert first.wait(30) == 0


def test_several_devices_take_several_runs_each_sees_its_own(bench: Bench) -> None:
    for _ in range(3):
        bench.put("wait")
    worker = bench.start(devices="GPU-a,GPU-b")
    wait_for(lambda: read_run(bench.runs / "r1").step == 1 and read_run(bench.runs / "r2").step == 1)
    assert [events(bench.runs / name)[0]["gpu"] for name in ("r1", "r2")] == ["GPU-a", "GPU-b"]
    assert bench.states() == {"1": "running", "2": "running", "3": "waiting"}
    request(bench.runs / "r1", "stop")
    wait_for(lambda: bench.states()["3"] == "running")
    wait_for(lambda: read_run(bench.runs / "r3").step == 1)
    assert events(bench.runs / "r3")[0]["gpu"] == "GPU-a"
    for name in ("r2", "r3"):
        request(bench.runs / name, "stop")
    assert worker.wait(30) == 0


def test_one_device_is_one_run_over_two_folders_even_without_its_worker(bench: Bench, tmp_path: Path) -> None:
    bench.put("wait")
    first = bench.start()
    wait_for(lambda: read_run(bench.runs / "r1").step == 1)
    first.kill()
    first.wait()
    second = tmp_path / "second"
    second.mkdir()
    other = Bench(second)
    other.claims = bench.claims
    other.put("finish")
    worker = other.start()
    wait_for(lambda: read_worker(other.runs).words == "waiting for a free device: r1 runs")
    assert other.states() == {"1": "waiting"}
    request(bench.runs / "r1", "stop")
    assert worker.wait(30) == 0
    assert other.states() == {"1": "done"}
    other.close()


def test_a_run_that_was_started_by_hand_takes_the_device_too(bench: Bench) -> None:
    from hrm_core.runs.writer import RunWriter

    with RunWriter.create(bench.runs / "hand", "", {"experiment": "EXP-00"}) as writer:
        writer.status({"state": "running", "global_step": 1})
        bench.put("finish")
        worker = bench.start()
        wait_for(lambda: read_worker(bench.runs).words == "waiting for a free device: hand runs")
        writer.result({"state": "finished", "step": 1})
    assert worker.wait(30) == 0
    assert bench.states() == {"1": "done"}


def test_battery_and_heat_hold_the_queue_by_their_settings(bench: Bench) -> None:
    said: list[str] = []

    def battery() -> bool:
        said.append(read_worker(bench.runs).words)
        return len(said) < 4

    bench.put("finish")
    bench.work(battery=battery)
    assert "waiting for mains power (setting queue.hold_on_battery)" in said
    assert bench.states() == {"1": "done"}
    bench.put("finish")
    bench.work(battery=lambda: True, settings=lambda: settings_with(hold_on_battery=False))
    assert bench.states()["2"] == "done"

    heat = [95.0, 95.0, 95.0, 80.0]
    said.clear()

    def devices() -> list[Device]:
        said.append(read_worker(bench.runs).words)
        return [Device("GPU-a", "GPU 0", heat.pop(0) if len(heat) > 1 else heat[0])]

    bench.put("finish")
    bench.work(devices=devices)
    assert "waiting for GPU 0 to cool: 95 °C, the limit is 90" in said
    bench.put("finish")
    bench.work(devices=lambda: [Device("GPU-a", "GPU 0", 99.0)], settings=lambda: settings_with(hold_above_c=0.0))
    assert set(bench.states().values()) == {"done"}


def test_edits_while_the_worker_is_at_work_are_heeded(bench: Bench) -> None:
    bench.put("wait")
    bench.put("finish")
    worker = bench.start()
    wait_for(lambda: read_run(bench.runs / "r1").step == 1)
    hold(bench.runs, ["2"])
    bench.put("finish")
    request(bench.runs / "r1", "stop")
    assert worker.wait(30) == 0
    assert bench.states() == {"1": "stopped", "2": "held", "3": "done"}


def gpus(number: int) -> Callable[[], list[Device]]:
    return lambda: [Device(f"GPU-{letter}", f"GPU {letter}", 40.0) for letter in "abcd"[:number]]


def test_a_run_of_several_gpus_has_them_all_and_waits_for_them(bench: Bench) -> None:
    """The second may not start beside the first, which leaves it one of three; the third runs after it in its turn."""
    bench.put("finish", gpus=2)
    bench.put("finish", gpus=2)
    bench.put("finish")
    assert bench.work(devices=gpus(3)) == "nothing is left to run (3 done)"
    assert begun(bench) == ["r1", "r2", "r3"]
    first, second, third = (events(bench.runs / name)[0] for name in ("r1", "r2", "r3"))
    assert first["gpu"] == second["gpu"] == "GPU-a,GPU-b"
    assert first["words"][-2:] == ["--gpus", "2"] and "--gpus" not in third["words"]
    assert third["gpu"].count("GPU-") == 1
    said = "\n".join(last_log_lines(bench.runs, 50))
    assert said.index("1 (EXP-00): done") < said.index("2 (EXP-00): started as r2 on GPU a, GPU b")


def test_a_run_of_more_gpus_than_there_are_is_held_and_the_cpu_is_one_place(bench: Bench) -> None:
    bench.put("finish", gpus=4)
    bench.put("finish")
    assert bench.work(devices=gpus(2)) == "nothing can run: 1 entry is held"
    assert bench.states() == {"1": "held", "2": "done"}
    assert bench.entry("1").reason == "it is to have 4 GPUs and this machine has 2"
    bench.put("finish", gpus=4)
    assert bench.work() == "nothing can run: 1 entry is held"
    assert bench.states()["3"] == "done"
    assert events(bench.runs / "r3")[0]["words"][-2:] == ["--gpus", "4"]
