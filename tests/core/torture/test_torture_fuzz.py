"""Mutants: a number gives the same one again; a reader that raises, hangs, lies or kills its process is counted."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from hrm_core.errors import UserError
from hrm_core.torture import fuzz_child
from hrm_core.torture.bench import Bench
from hrm_core.torture.fuzz import Tally, row_of, run_child, trials
from hrm_core.torture.fuzz_child import case, outcome
from hrm_core.torture.fuzz_formats import FORMATS
from hrm_core.torture.fuzz_reader import Reader, Wrong, tidy
from hrm_core.torture.mutate import change_json, change_toml, mutate

TOML = b'[training]\nbatch = 8\nname = "x"\n'


@pytest.mark.parametrize("kind", ["json", "toml", "bytes"])
def test_mutants_repeat_and_differ(kind: str) -> None:
    data = TOML if kind == "toml" else json.dumps({"a": [1, 2, {"b": "c"}], "d": None}).encode()
    mutants = [mutate(data, b"other", kind, Random(f"0/{number}")) for number in range(200)]
    assert mutants == [mutate(data, b"other", kind, Random(f"0/{number}")) for number in range(200)]
    assert len(set(mutants)) > 150
    assert sum(mutant == data for mutant in mutants) < 20


def test_changes_that_know_the_format_keep_it() -> None:
    lines = b'{"a":1,"b":[1,2]}\n{"a":2}\n{"a":3}\n'
    for number in range(50):
        assert json.loads(change_json(b'{"a": {"b": [1, 2, 3]}}', Random(number))) is not Ellipsis
        changed = change_json(lines, Random(number)).split(b"\n")
        assert len(changed) == 4
        assert sum(line in lines.split(b"\n") for line in changed) >= 3
        assert b"[training]" in change_toml(TOML, Random(number))
    assert change_json(b"no json", Random(0)) == b"no json"
    assert change_toml(b"no toml", Random(0)) == b"no toml"


def raises(error: BaseException) -> bool:
    raise error


def burn() -> bool:
    end = time.process_time() + 5
    while time.process_time() < end:
        pass
    return True


def test_what_comes_of_a_reading_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(lambda: True) == ("accepted", "")
    assert outcome(lambda: False) == ("refused", "")
    assert outcome(lambda: raises(UserError("batch=x is no number"))) == ("refused", "")
    assert outcome(lambda: raises(UserError("a\nb\nc")))[0] == "crash"
    assert outcome(lambda: raises(UserError("\x1b[2J")))[0] == "crash"
    assert outcome(lambda: raises(Wrong("another value"))) == ("wrong", "another value")
    code, words = outcome(lambda: raises(KeyError("x")))
    assert code == "crash" and words.startswith("KeyError at test_torture_fuzz.py:")
    monkeypatch.setattr(fuzz_child, "CASE_CPU_S", 0.05)
    import signal

    before = signal.signal(signal.SIGPROF, fuzz_child._stop)
    try:
        assert outcome(burn)[0] == "hang"
    finally:
        signal.signal(signal.SIGPROF, before)


def test_every_fiftieth_case_is_the_file_itself_and_some_are_forged() -> None:
    reader = Reader([("a", b"one"), ("a", b"two")], lambda *_: True, lambda label, data, random: b"forged")
    assert case(reader, "bytes", 0, 0) == ("a", b"one", False)
    assert case(reader, "bytes", 0, 50) == ("a", b"two", False)
    forged = [case(reader, "bytes", 0, number)[2] for number in range(1, 50)]
    assert 3 < sum(forged) < 25


def test_a_process_that_dies_or_is_silent_is_known_by_its_case(monkeypatch: pytest.MonkeyPatch) -> None:
    def child(code: str) -> tuple[int, str, Counter[str]]:
        tally = Tally()
        following, ending = run_child([sys.executable, "-c", code], {}, 7, tally)
        return following, ending, tally.counts

    assert child("print('7 accepted  ')") == (8, "", Counter(accepted=1))
    following, ending, counts = child("print('7 refused  ', flush=True); import os; os.kill(os.getpid(), 11)")
    assert (following, counts) == (8, Counter(refused=1)) and "ended with -11" in ending
    monkeypatch.setattr("hrm_core.torture.fuzz.SILENCE_S", 0.2)
    assert child("import time; time.sleep(60)")[:2] == (7, "hang")


def test_the_row_passes_only_where_all_were_read_and_none_was_bad() -> None:
    def row(wanted: int = 4, **counts: int) -> tuple[bool, str]:
        tally = Tally()
        for code, count in counts.items():
            for number in range(count):
                tally.take(f"{number} {code} file words of it")
        found = row_of("recipe", tally, wanted)
        return found.passed, found.found

    assert row(accepted=1, refused=3) == (True, "1 accepted, 3 refused")
    assert row(refused=4)[0] is False
    assert row(accepted=4)[0] is False
    assert row(accepted=1, refused=2)[1].endswith("1 not run") and not row(accepted=1, refused=2)[0]
    for code in ("crash", "hang", "wrong"):
        passed, found = row(accepted=1, refused=2, **{code: 1})
        assert not passed and f"1 {code}, such as case 0 {code}: file words of it" in found


def test_untidy_sentences_are_found() -> None:
    assert tidy("one\ntwo") == ""
    assert all(tidy(text) for text in ("", "a\nb\nc", "x" * 2000, "\x07", "\u202e", "a\rb"))


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"weights", "data"}))
def test_each_format_reads_its_own_files_and_refuses_another(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "work").mkdir()
    reader = FORMATS[name].prepare(tmp_path / "work")
    for label, data in reader.seeds:
        assert outcome(lambda label=label, data=data: reader.read(label, data, False)) == ("accepted", "")  # type: ignore[misc]
        assert outcome(lambda label=label: reader.read(label, b"\x00\xff", False))[0] == "refused"  # type: ignore[misc]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_hundred_mutants_a_format(tmp_path: Path, arc1_file: Path) -> None:
    rows = list(trials(Bench(tmp_path, arc1_file, True, 3)))
    assert len(rows) == len(FORMATS)
    assert [row.found for row in rows if not row.passed] == []
    assert all(row.times == 200 for row in rows)
