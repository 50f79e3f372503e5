"""Every change of the queue, its refusals, and that of many who change it at once none loses anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from queue_stand_in import Bench

from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs import queue as edits
from hrm_core.runs.queue_predict import predicted_s
from hrm_core.runs.queue_records import Damaged, Queue, from_json, to_json
from hrm_core.runs.queue_store import change, entry_of, queue_path, read_queue
from hrm_core.runs.writer import RunWriter

ADD = """
import sys
from pathlib import Path
from queue_stand_in import Bench
from hrm_core.runs.queue import hold, move

bench = Bench.__new__(Bench)
bench.runs = Path(sys.argv[1])
for number in range(25):
    mine = bench.put(sys.argv[2])
    hold(bench.runs, [mine.id], sys.argv[2])
    move(bench.runs, mine.id, "first")
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def order(bench: Bench) -> list[str]:
    return [entry.id for entry in read_queue(bench.runs).entries]


def made(bench: Bench, count: int) -> None:
    for _ in range(count):
        bench.put("finish")


def test_of_two_processes_and_two_threads_that_change_it_at_once_no_change_is_lost(bench: Bench) -> None:
    path = ":".join([str(Path(__file__).parents[2] / "shared")])
    processes = [
        subprocess.Popen([sys.executable, "-c", ADD, str(bench.runs), name], env={"PYTHONPATH": path, "PATH": ""})
        for name in ("one", "two")
    ]
    threads = [threading.Thread(target=made, args=(bench, 25)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for waiting in (*threads,):
        waiting.join()
    assert [process.wait(60) for process in processes] == [0, 0]
    queue = read_queue(bench.runs)
    assert sorted(int(entry.id) for entry in queue.entries) == list(range(1, 101))
    assert queue.next_id == 101
    for name in ("one", "two"):
        mine = [entry for entry in queue.entries if entry.overrides == (f"do={name}",)]
        assert len(mine) == 25
        assert {(entry.state, entry.reason) for entry in mine} == {("held", name)}
    assert len(queue.in_state("waiting")) == 50


def test_what_is_added_pins_its_recipe_and_the_code_and_says_where(bench: Bench, tmp_path: Path) -> None:
    data = tmp_path / "d.h5"
    data.touch()
    entry = edits.add(bench.runs, "EXP-02", ["preset=cpu", "training.seed=4"], name="mine", data=str(data))
    assert (entry.id, entry.state, entry.name, entry.data, entry.folder) == (
        "1",
        "waiting",
        "mine",
        str(data),
        str(Path.cwd()),
    )
    assert entry.pins.recipe_toml == to_toml(build_recipe("EXP-02", ["preset=cpu", "training.seed=4"]).recipe)
    assert entry.pins.code.version and entry.pins.code.torch
    assert read_queue(bench.runs).entries == (entry,)
    held = edits.add(bench.runs, "EXP-00", ["preset=cpu"], hold=True, first=True, after="1")
    assert (held.state, held.after, held.after_is_run) == ("held", "1", False)
    assert order(bench) == ["2", "1"]


def test_what_a_killed_writer_left_goes_with_the_next_change_and_a_write_under_way_stays(bench: Bench) -> None:
    mine = bench.put("EXP-00")
    left, going = (queue_path(bench.runs).with_name(f".queue.json.tmp-{pid}-0123abcd") for pid in (77, 78))
    for path in (left, going):
        path.write_bytes(b"half")
    os.utime(left, (1e9, 1e9))
    edits.hold(bench.runs, [mine.id])
    assert not left.exists() and going.read_bytes() == b"half"


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (["EXP-99"], {}, "EXP-99 is no experiment"),
        (["EXP-00", "training.sed=1"], {}, "training.sed is no setting"),
        (["EXP-00"], {"name": "../x"}, "is not allowed for a run"),
        (["EXP-00"], {"name": "there"}, "run there exists already"),
        (["EXP-00"], {"name": "r1"}, "entry 1 of the queue will be run r1"),
        (["EXP-00"], {"after": "7"}, "there is no entry '7' in the queue, and there is no run '7'"),
        (["EXP-00"], {"data": "/none.h5"}, "there is no such file"),
        (["EXP-00"], {"source": "there@best"}, "there"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    bench: Bench, words: list[str], options: dict[str, str], said: str
) -> None:
    RunWriter.create(bench.runs / "there", "", {}).close()
    bench.put("finish")
    before = queue_path(bench.runs).read_bytes()
    with pytest.raises(UserError, match=said):
        edits.add(bench.runs, words[0], words[1:], **options)  # type: ignore[arg-type]
    assert queue_path(bench.runs).read_bytes() == before


def test_a_snapshot_of_a_run_that_goes_before_need_not_exist_yet(bench: Bench, tmp_path: Path) -> None:
    RunWriter.create(bench.runs / "there", "", {}).close()
    entry = edits.add(bench.runs, "EXP-00", ["preset=cpu"], source="there@best", after="there")
    assert (entry.source, entry.after) == ("there@best", "there")
    assert edits.add(bench.runs, "EXP-00", source=str(tmp_path)).source == str(tmp_path)


def test_moving(bench: Bench) -> None:
    made(bench, 4)
    bench.put("finish", state="done")
    for entry_id, to, after in (
        ("3", "first", ["3", "1", "2", "4", "5"]),
        ("3", "up", ["3", "1", "2", "4", "5"]),
        ("3", "down", ["1", "3", "2", "4", "5"]),
        ("4", "2", ["1", "4", "3", "2", "5"]),
        ("1", "99", ["4", "3", "2", "5", "1"]),
        ("4", "last", ["3", "2", "5", "1", "4"]),
        ("4", "down", ["3", "2", "5", "1", "4"]),
        ("1", "up", ["3", "1", "2", "5", "4"]),
    ):
        edits.move(bench.runs, entry_id, to)
        assert order(bench) == after, (entry_id, to)
    with pytest.raises(UserError, match="only what is to come has a place"):
        edits.move(bench.runs, "5", "first")
    for place in ("sideways", "0", "-1"):
        with pytest.raises(UserError, match="is no place"):
            edits.move(bench.runs, "1", place)
    assert [entry.id for entry in read_queue(bench.runs).in_order] == ["3", "1", "2", "4", "5"]


def test_holding_and_releasing(bench: Bench) -> None:
    made(bench, 2)
    edits.hold(bench.runs, ["1", "2"], "lunch")
    assert (bench.entry("1").state, bench.entry("1").reason) == ("held", "lunch")
    edits.release(bench.runs, ["1"])
    assert (bench.entry("1").state, bench.entry("1").reason) == ("waiting", "")
    with pytest.raises(UserError, match="1 is waiting, not held"):
        edits.release(bench.runs, ["1"])
    for held_for, remedy in (("pins", "hrm queue retry 3"), ("after", "hrm queue after 4 none")):
        bench.put("finish", state="held", held_for=held_for, reason="because")
        with pytest.raises(UserError, match=f"is held: because.\n`{remedy}`"):
            edits.release(bench.runs, [order(bench)[-1]])
    bench.put("finish", state="done")
    with pytest.raises(UserError, match="only what is to come can be held"):
        edits.hold(bench.runs, ["5"])
    with pytest.raises(UserError, match="no entry 'x' in the queue; there are 1, 2, 3, 4, 5"):
        edits.hold(bench.runs, ["1", "x"])
    assert bench.entry("1").state == "waiting", "a refused change changes nothing"


def test_after(bench: Bench) -> None:
    RunWriter.create(bench.runs / "by-hand", "", {}).close()
    made(bench, 3)
    edits.run_after(bench.runs, "3", "2")
    edits.run_after(bench.runs, "2", "by-h")
    assert (bench.entry("3").after, bench.entry("3").after_is_run) == ("2", False)
    assert (bench.entry("2").after, bench.entry("2").after_is_run) == ("by-hand", True)
    for one, other in (("2", "3"), ("1", "1")):
        with pytest.raises(UserError, match="they would wait for each other"):
            edits.run_after(bench.runs, one, other)
    edits.run_after(bench.runs, "3", None)
    assert bench.entry("3").after is None
    bench.put("finish", state="held", held_for="after", reason="1 has failed", after="1")
    edits.run_after(bench.runs, "4", None)
    assert (bench.entry("4").state, bench.entry("4").reason) == ("waiting", "")


@pytest.mark.parametrize(("name", "said"), [("my run", "'my run' is not allowed"), ("../other/one", "is not in")])
def test_a_run_that_the_file_could_not_name_or_find_again_is_not_waited_for(
    bench: Bench, name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunWriter.create(bench.runs.parent / "other" / "one", "", {}).close()
    RunWriter.create(bench.runs / "one", "", {}).close()
    (bench.runs / "one").rename(bench.runs / "my run")
    monkeypatch.chdir(bench.runs)
    made(bench, 1)
    with pytest.raises(UserError, match=said):
        edits.run_after(bench.runs, "1", name)
    assert bench.entry("1").after is None


def test_removing_holds_what_waited_for_it_and_lets_go_what_waited_for_a_done_one(bench: Bench) -> None:
    made(bench, 1)
    bench.put("finish", state="done")
    bench.put("finish", after="1")
    bench.put("finish", after="2")
    bench.put("finish", state="failed")
    edits.remove(bench.runs, ["1"], ended=True)
    assert order(bench) == ["3", "4"]
    assert (bench.entry("3").state, bench.entry("3").held_for) == ("held", "after")
    assert bench.entry("3").reason == "1, which it was to run after, was removed"
    assert (bench.entry("4").state, bench.entry("4").after) == ("waiting", None)
    with RunWriter.create(bench.runs / "live", "", {}):
        bench.put("finish", state="running", run_id="live")
        with pytest.raises(UserError, match="6 is running; stop it first: hrm stop live"):
            edits.remove(bench.runs, ["3", "6"])
    assert order(bench) == ["3", "4", "6"]


def test_a_retry_pins_anew_and_comes_first(bench: Bench) -> None:
    old = edits.add(bench.runs, "EXP-00", ["preset=cpu"])
    made(bench, 1)
    changed = {"state": "failed", "reason": "x", "attempts": 3, "pins": bench.entry("2").pins}
    change(bench.runs, lambda queue: queue.changed("1", **changed))
    edits.retry(bench.runs, ["1"])
    entry = bench.entry("1")
    assert (entry.state, entry.reason, entry.attempts, entry.pins) == ("waiting", "", 0, old.pins)
    assert order(bench) == ["1", "2"]
    change(bench.runs, lambda queue: queue.changed("1", state="done"))
    with pytest.raises(UserError, match="1 is done; `hrm queue clone 1`"):
        edits.retry(bench.runs, ["1"])


def test_retries_run_in_the_order_named(bench: Bench) -> None:
    for _ in range(3):
        edits.add(bench.runs, "EXP-00", ["preset=cpu"])
    change(
        bench.runs, lambda queue: queue.each(lambda one: replace(one, state="waiting" if one.id == "3" else "failed"))
    )
    edits.retry(bench.runs, ["2", "1"])
    assert order(bench) == ["2", "1", "3"]


def test_a_retry_of_everything_leaves_what_a_person_holds(bench: Bench) -> None:
    for state, held_for in (("waiting", ""), ("held", "pins"), ("held", "user"), ("held", "after")):
        edits.add(bench.runs, "EXP-00", ["preset=cpu"])
        number = order(bench)[-1]
        change(bench.runs, lambda queue, n=number, s=state, h=held_for: queue.changed(n, state=s, held_for=h))
    edits.retry(bench.runs, [], everything=True)
    assert list(bench.states().values()) == ["waiting", "waiting", "held", "held"]


def test_a_clone_has_its_changes_laid_over(bench: Bench) -> None:
    edits.add(bench.runs, "EXP-00", ["preset=cpu", "training.seed=1"], name="first", after=None)
    entry = edits.clone(bench.runs, "first", ["training.seed=2", "training.max_steps=9"])
    assert entry.overrides == ("preset=cpu", "training.seed=2", "training.max_steps=9")
    assert (entry.id, entry.name, entry.state) == ("2", None, "waiting")
    assert entry.pins.recipe_hash != bench.entry("1").pins.recipe_hash
    with pytest.raises(UserError, match="no setting"):
        edits.clone(bench.runs, "1", ["training.sed=2"])


@pytest.mark.parametrize("content", ["", "[]", "{", '{"entries": [{}]}', "twice", "path", "\x00"])
def test_a_damaged_file_is_a_sentence_and_is_left_alone(bench: Bench, content: str) -> None:
    made(bench, 2)
    path = queue_path(bench.runs)
    row = json.loads(path.read_text())
    if content == "twice":
        row["entries"][1]["id"] = "1"
        content = json.dumps(row)
    elif content == "path":
        row["entries"][1]["run_id"] = "../../etc"
        content = json.dumps(row)
    path.write_text(content)
    for call in (lambda: read_queue(bench.runs), lambda: edits.hold(bench.runs, ["1"])):
        with pytest.raises(UserError, match=r"is damaged: .*\nMove it away"):
            call()
    assert path.read_text() == content


def test_gpus_are_for_what_can_be_spread_over_them(bench: Bench) -> None:
    entry = edits.add(bench.runs, "EXP-00", ["preset=cpu"], gpus=3)
    assert entry.gpus == edits.clone(bench.runs, entry.id).gpus == 3
    for change_of in (
        lambda: edits.add(bench.runs, "EXP-09", ["preset=cpu"], gpus=2),
        lambda: edits.clone(bench.runs, entry.id, ["techniques.replay=on"]),
    ):
        with pytest.raises(UserError, match="looks at all slots of a lane at once and runs on one GPU only"):
            change_of()
    assert edits.add(bench.runs, "EXP-09", ["preset=cpu"]).gpus == 1


@pytest.mark.parametrize("gpus", [0, -1, 10**6])
def test_a_number_of_gpus_that_cannot_be_is_damage(bench: Bench, gpus: int) -> None:
    row = to_json(Queue((bench.put("finish"),)))
    row["entries"][0]["gpus"] = gpus
    with pytest.raises(Damaged, match="gpus is no number of GPUs"):
        from_json(json.loads(json.dumps(row)))


def test_an_entry_of_an_older_version_has_one_gpu(bench: Bench) -> None:
    row = to_json(Queue((bench.put("finish"),)))
    del row["entries"][0]["gpus"]
    assert from_json(json.loads(json.dumps(row))).entries[0].gpus == 1


def test_what_is_written_is_read_back(bench: Bench) -> None:
    made(bench, 1)
    bench.put(
        "finish", state="failed", reason="\x1b[2J", after="1", started_s=3.5, ended_s=4.0, device="cpu", fresh=True
    )
    queue = read_queue(bench.runs)
    assert from_json(json.loads(json.dumps(to_json(queue)))) == queue
    assert from_json({}) == Queue()
    assert entry_of(queue, "r2").id == "2"


def test_a_run_called_queue_is_in_the_way(bench: Bench) -> None:
    RunWriter.create(bench.runs / "queue", "", {}).close()
    with pytest.raises(UserError, match="is a run; rename it"):
        edits.add(bench.runs, "EXP-00", ["preset=cpu"])


def test_a_run_of_the_same_recipe_says_how_long_it_will_take(bench: Bench) -> None:
    recipe = build_recipe("EXP-00", ["preset=cpu", "training.seed=1"]).recipe

    def ran(name: str, seconds: float, state: str = "finished", kind: str = "cpu", **values: object) -> None:
        head = {"recipe": recipe.model_dump(mode="json"), "device_kind": kind, **values}
        with RunWriter.create(bench.runs / name, "", head) as writer:
            writer.result({"state": state, "elapsed_s": seconds})

    wanted = to_toml(build_recipe("EXP-00", ["preset=cpu", "training.seed=2"]).recipe)
    assert predicted_s(bench.runs, wanted) is None
    ran("failed", 3.0, "failed")
    ran("gpu", 4.0, kind="cuda")
    assert predicted_s(bench.runs, wanted) is None
    ran("a", 120.0)
    ran("b", 100.0)
    assert predicted_s(bench.runs, wanted) == 100.0
    other = to_toml(build_recipe("EXP-00", ["preset=cpu", "training.max_steps=5"]).recipe)
    assert predicted_s(bench.runs, other) is None
