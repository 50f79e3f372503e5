"""The hostile part against readers that are not ours: code that runs, secrets that are shown, limits that are passed.

The pieces alone here; the whole part in its short form, on real commands, is marked slow.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hrm_core.runs.snapshots import verify_folder, write_meta
from hrm_core.torture.bench import Bench
from hrm_core.torture.hostile import Case, Ground, Runner, faults_of, fires, row_of, tree_digest, trials
from hrm_core.torture.hostile_files import object_array, torch_archive
from hrm_core.torture.hostile_folders import seal

READER = """
import os, pathlib, pickle, sys, time
what, *words = sys.argv[1:]
if what == "load":
    pickle.load(open(words[0], "rb"))
elif what == "show":
    print(pathlib.Path(words[0]).read_text())
elif what == "touch":
    (pathlib.Path(words[0]) / "new").write_text("x")
elif what == "copy":
    pathlib.Path(words[1]).write_bytes(pathlib.Path(words[0]).read_bytes())
elif what == "wait":
    time.sleep(60)
elif what == "fill":
    held = bytearray(500 * 2**20)
    sys.exit(len(held) and 0)
elif what == "crash":
    os.kill(os.getpid(), 11)
elif what == "raise":
    raise KeyError("x")
elif what == "refuse":
    sys.stderr.write("error: no\\n")
    sys.exit(2)
elif what == "chatter":
    sys.stderr.write("error: no\\na\\nb\\n")
    sys.exit(1)
"""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "module").mkdir()
    (folder / "module" / "reader.py").write_text(READER)
    (folder / "outside").mkdir()
    (folder / "outside" / "secret.txt").write_text("token-1234")
    ground = Ground(folder, folder, folder, folder / "outside", folder / "marker", "token-1234")
    made = Runner(ground, {**os.environ, "PYTHONPATH": str(folder / "module"), "OMP_NUM_THREADS": "1"})
    yield made
    made.close()


def reader(*words: str, refused: bool = False) -> Case:
    return Case("a reader", words, "reader", refused)


def test_a_reader_that_does_nothing_wrong_has_no_faults(runner: Runner) -> None:
    assert runner.judge(reader("nothing")).faults == ()
    assert runner.judge(reader("refuse", refused=True)).faults == ()


def test_each_fault_of_a_reader_is_found(runner: Runner, tmp_path: Path) -> None:
    ground = runner.ground
    payload, secret = tmp_path / "payload", ground.outside / "secret.txt"
    payload.write_bytes(ground.pickle)
    assert "it ran code" in runner.judge(reader("load", str(payload))).faults
    assert not ground.marker.exists()
    assert runner.judge(reader("show", str(secret))).faults == ("it showed a secret",)
    assert runner.judge(reader("touch", str(ground.outside))).faults == ("it touched what is outside",)
    assert runner.judge(reader("nothing", refused=True)).faults == ("it took the file",)
    assert "it ended in a traceback" in runner.judge(reader("raise")).faults
    assert runner.judge(reader("crash")).faults == ("signal 11 ended it",)
    assert runner.judge(reader("chatter")).faults == ("it did not end in one or two lines",)
    assert runner.judge(reader("wait"), seconds=0.3).faults == ("it did not end in time",)
    assert "it ended in a traceback" in runner.judge(reader("fill"), memory_mib=200).faults
    assert runner.judge(reader("fill"), memory_mib=2000).memory_mib > 490


def test_a_row_fails_with_one_faulty_reader_or_one_copied_secret(runner: Runner) -> None:
    ground = runner.ground
    good = runner.judge(reader("nothing"))
    assert row_of(ground, "a", "b", [good]).passed
    wrong = runner.judge(reader("raise"))
    row = row_of(ground, "a", "b", [good, wrong])
    assert (row.passed, row.times) == (False, 2)
    assert "1 tracebacks" in row.found
    assert "a reader" in row.lost
    copy = ground.folder / "copied.txt"
    assert runner.judge(reader("copy", str(ground.outside / "secret.txt"), str(copy))).faults == ()
    row = row_of(ground, "a", "b", [good])
    assert (row.passed, "1 gave away" in row.found) == (False, True)
    copy.unlink()


def test_the_payload_fires_where_somebody_loads_it(runner: Runner, tmp_path: Path) -> None:
    assert fires(runner.ground)
    payload, marker = runner.ground.pickle, runner.ground.marker
    for name, data, load in (
        ("a.npy", object_array(payload, packed=False), "import numpy; numpy.load({0!r}, allow_pickle=True)"),
        ("a.npz", object_array(payload, packed=True), "import numpy; numpy.load({0!r}, allow_pickle=True)['weights']"),
        ("a.pt", torch_archive(payload), "import torch; torch.load({0!r}, weights_only=False)"),
    ):
        (tmp_path / name).write_bytes(data)
        argv = [sys.executable, "-c", load.format(str(tmp_path / name))]
        subprocess.run(argv, capture_output=True, timeout=110, check=False)
        assert marker.exists(), name
        marker.unlink()


def test_a_sentence_without_an_end_is_a_fault() -> None:
    answer = {"late": False, "code": 1, "memory_mib": 1.0}
    assert list(faults_of(reader("x"), answer, "error: no\n", 10)) == []
    assert list(faults_of(reader("x"), answer, "error: " + "x" * 5000, 10)) == ["its sentence has no end"]
    assert list(faults_of(reader("x"), {**answer, "memory_mib": 11.0}, "error: no", 10)) == ["it took 11 MiB"]


def test_the_digest_of_a_folder_sees_names_bytes_and_modes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    seen = {tree_digest(tmp_path)}
    (tmp_path / "a").write_text("2")
    seen.add(tree_digest(tmp_path))
    (tmp_path / "a").chmod(0o600)
    seen.add(tree_digest(tmp_path))
    (tmp_path / "b").symlink_to("a")
    seen.add(tree_digest(tmp_path))
    assert len(seen) == 4


def test_a_sealed_folder_is_whole_and_a_link_in_it_is_still_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    write_meta(tmp_path, {"step": 1})
    (tmp_path / "a").write_text("22")
    assert verify_folder(tmp_path) != []
    seal(tmp_path)
    assert verify_folder(tmp_path) == []
    (tmp_path / "b").symlink_to("/etc/passwd")
    seal(tmp_path)
    assert verify_folder(tmp_path) == ["b cannot be read"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_part_in_its_short_form(arc1_file: Path, tmp_path: Path) -> None:
    rows = list(trials(Bench(tmp_path, arc1_file, short=True, seed=0)))
    assert len(rows) == 11
    assert [row for row in rows if not row.passed] == []
    assert sum(row.times for row in rows) > 150
