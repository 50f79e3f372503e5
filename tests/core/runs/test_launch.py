"""A process started apart against one that shares our session: its own session, no terminal, known again later."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import soon

from hrm_core.errors import UserError
from hrm_core.runs.files import read_json_object
from hrm_core.runs.launch import identity, is_alive, process_age_s, same_host, start_detached


def test_a_detached_process_has_its_own_session_no_terminal_and_a_file(tmp_path: Path) -> None:
    code = (
        "import os, sys; print(os.getsid(0) == os.getpid(), sys.stdin.read() == '', flush=True); "
        "print('late', file=sys.stderr)"
    )
    pid = start_detached([sys.executable, "-c", code], tmp_path / "runs" / "a")
    output = tmp_path / "runs" / "a" / "output.txt"
    assert soon(lambda: output.read_text() == "True True\nlate\n")
    path = tmp_path / "runs" / "a" / "launch.json"
    launch = json.loads(path.read_text())
    assert launch["process"]["pid"] == pid and read_json_object(path) is not None
    path.write_bytes(path.read_bytes().replace(b'"pid"', b'"pit"'))
    assert read_json_object(path) is None
    assert soon(lambda: not is_alive(launch["process"]))
    assert soon(lambda: not Path(f"/proc/{pid}").exists())


def test_a_detached_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hrm_core.runs.launch import start_detached\n"
        "start_detached([sys.executable, '-c', 'import time; time.sleep(60)'], Path(sys.argv[1]))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True)
    launch = json.loads((tmp_path / "a" / "launch.json").read_text())["process"]
    try:
        assert is_alive(launch)
        assert os.getsid(launch["pid"]) == launch["pid"]
        assert not is_alive({**launch, "start_ticks": launch["start_ticks"] + 1})
        assert not is_alive({**launch, "boot_id": "another"})
    finally:
        os.kill(launch["pid"], 9)
    assert soon(lambda: not is_alive(launch))


def test_words_go_as_they_are_and_the_environment_can_be_given(tmp_path: Path) -> None:
    code = "import sys, os; print(sys.argv[1:], os.environ.get('A'), 'HOME' in os.environ)"
    start_detached([sys.executable, "-c", code, "$(x)", ";", "a b"], tmp_path, {"A": "1"})
    assert soon(lambda: (tmp_path / "output.txt").read_text() == "['$(x)', ';', 'a b'] 1 False\n")


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    who = identity(process.pid)
    assert soon(lambda: not is_alive(who))
    process.wait()


def test_what_cannot_be_started_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="/no/such/program: it does not exist"):
        start_detached(["/no/such/program"], tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError):
        start_detached(["true"], tmp_path / "file" / "a")


def test_this_process_knows_itself() -> None:
    me = identity()
    assert (me["pid"], is_alive(me), same_host(me)) == (os.getpid(), True, True)
    assert not is_alive({})
    assert not same_host({"host": "", "boot_id": ""})
    assert 0 < process_age_s() < 10**5
