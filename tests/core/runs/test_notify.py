"""Words by the user's own command: what it is given, when, and that it can neither block nor harm whoever sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from waiting import soon

from hrm_core.runs.notify import QUIET_S, TEXT_LENGTH, Notifier, event_words, notify, short, watch
from hrm_core.runs.writer import RunWriter


@pytest.fixture
def recorder(tmp_path: Path) -> tuple[list[str], Path]:
    """A command that writes its arguments to a file, whole."""
    said = tmp_path / "said.json"
    script = tmp_path / "recorder.py"
    script.write_text(
        "import json, os, sys\n"
        f"json.dump(sys.argv[1:], open({str(said)!r} + '.new', 'w'))\n"
        f"os.rename({str(said)!r} + '.new', {str(said)!r})\n"
        "print('noise')\n"
    )
    return [sys.executable, str(script), "own word"], said


def test_the_command_gets_title_and_text_behind_its_own_words(recorder: tuple[list[str], Path]) -> None:
    command, said = recorder
    assert notify(command, "hrm: a finished", 'step 5: it\'s "done"; $(touch x)')
    assert soon(said.exists)
    assert json.loads(said.read_text()) == ["own word", "hrm: a finished", 'step 5: it\'s "done"; $(touch x)']


def test_nothing_is_set_or_nothing_is_there(tmp_path: Path) -> None:
    assert not notify((), "a", "b")
    assert notify([str(tmp_path / "missing")], "a", "b")  # the watcher finds out, nobody else
    assert notify(["with\0nul"], "a", "b") is False


def test_texts_are_cleaned_and_short() -> None:
    assert "\x1b" not in short("\x1b]0;pwned\x07") and "\n" not in short("a\nb")
    assert len(short("x" * 1000)) == TEXT_LENGTH and short("x" * 1000).endswith("…")
    assert not short("--help").startswith("-")


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = f"sleep 60 & echo $! > {pids}; echo $$ >> {pids}; wait"
    for seconds in (0.5, 5.0, 30.0):  # a shell that has not even begun is no child to be ended
        begin = time.monotonic()
        watch(["/bin/sh", "-c", command], seconds)
        assert 0.8 * seconds < time.monotonic() - begin < 55
        found = pids.read_text().split() if pids.exists() else []
        if len(found) == 2:
            break
    assert len(found) == 2
    for pid in map(int, found):
        assert soon(lambda pid=pid: not alive(pid))  # type: ignore[misc]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def test_whoever_sends_does_not_wait_and_may_leave(tmp_path: Path) -> None:
    """The command goes on only once the sender is gone."""
    said, left = tmp_path / "said", tmp_path / "left"
    code = (
        "from hrm_core.runs.notify import notify\n"
        f"notify(['/bin/sh', '-c', 'while [ ! -e {left} ]; do sleep 0.05; done; echo done > {said}'], 'a', 'b')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
    assert not said.exists()
    left.touch()
    assert soon(said.exists)


class Sent:
    """Keeps what would have been sent, under a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.words: list[tuple[str, str]] = []
        self.notifier = Notifier(["x"], "run-1", self.send, lambda: self.now)

    def send(self, command: Any, title: str, text: str) -> None:
        assert tuple(command) == ("x",)
        self.words.append((title, text))


def test_one_of_a_kind_a_minute_but_every_end() -> None:
    sent = Sent()
    heard = sent.notifier.heard
    heard("best", 10, {"metric": "exact", "value": 0.116, "trivial": 0.009})
    heard("best", 20, {"metric": "exact", "value": 0.2, "trivial": 0.009})
    heard("alarm", 20, {"name": "plateau", "sentence": "No better."})
    heard("started", 0, {})
    heard("checkpoint", 20, {})
    assert sent.words == [
        ("hrm: run-1 has a new best", "exact 11.6 % (best trivial 0.9 %) at step 10"),
        ("hrm: run-1 alarms", "plateau: No better."),
    ]
    sent.now = QUIET_S
    heard("best", 30, {"metric": "exact", "value": 0.3})
    heard("stopped", 31, {"reason": "stop was asked for"})
    heard("finished", 32, {"reason": "all steps done"})
    heard("finished", 32, {})
    assert [title for title, _ in sent.words[2:]] == [
        "hrm: run-1 has a new best", "hrm: run-1 stopped", "hrm: run-1 finished", "hrm: run-1 finished",
    ]  # fmt: skip
    assert sent.words[3][1] == "step 31: stop was asked for"


def test_strange_fields_make_words_all_the_same() -> None:
    assert event_words("best", None, {"value": "x", "metric": None}) == ("has a new best", "None - at step None")
    assert event_words("note", 1, {"text": "hello"}) is None


def test_without_a_command_nothing_is_made() -> None:
    sent: list[object] = []
    for command in ((), ("x",)):
        Notifier(command, "a", lambda *words: sent.append(words)).heard("finished", 1, {})
    assert len(sent) == 1


def test_the_writer_tells_what_it_has_written(tmp_path: Path) -> None:
    sent = Sent()
    with RunWriter.create(tmp_path / "run-1", "", {}) as writer:
        writer.event("finished", 1, reason="x")
        assert sent.words == []
        writer.heard = sent.notifier.heard
        writer.event("finished", 2, reason="all steps done")
    assert sent.words == [("hrm: run-1 finished", "step 2: all steps done")]
    assert (tmp_path / "run-1" / "events.jsonl").read_bytes().count(b'"finished"') == 2
    assert os.path.exists(tmp_path / "run-1")
