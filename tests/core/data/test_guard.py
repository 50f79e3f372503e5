"""A data file is read by a child first: fake readers that die, hang, eat memory or refuse; which verdicts count.

The fakes run in the real child with the real bounds, but for the one that a test lowers. Nothing is timed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hrm_core.api.data_files import data_of
from hrm_core.cli.main import cli
from hrm_core.data import guard
from hrm_core.data.build import build
from hrm_core.data.file import digest_path, read_content, to_bytes
from hrm_core.data.grids import Task
from hrm_core.data.guard import Answer, Bounds, ask_child, bounds_of, child_environment, is_known_good, refuse_harmful
from hrm_core.data.guard_child import GOOD
from hrm_core.data.sources.source import Source
from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.text import clean

FAKES = {
    "dies": "os.kill(os.getpid(), signal.SIGSEGV)",
    "hangs": "\n  while True: pass",
    "sleeps": "time.sleep(600)",
    "eats": "bytearray(2**40)",
    "refuses": "raise UserError('it is \\x1b[2J no good\\nsecond\\nthird', 1)",
    "writes": "\n  with open('written', 'wb') as file: file.write(b'x' * 9)",
    "lies": "return 'another digest'",
    "leaves": "sys.exit(1)",
    "loads": "return ' '.join(name for name in ('torch', 'pydantic', 'click') if name in sys.modules)",
    "environment": "return ' '.join(sorted(os.environ))",
}


def fake(name: str, **lower: float) -> Callable[[Path, Bounds], Answer]:
    """Asks the real child, whose reading function is one of the fakes."""
    code = (
        "import os, signal, sys, time\nfrom hrm_core.data.guard_child import main\n"
        "from hrm_core.errors import UserError\n"
        f"def read(path): {FAKES[name]}\nsys.exit(main(sys.argv[1:], read))"
    )

    def ask(path: Path, bounds: Bounds) -> Answer:
        return ask_child(path, replace(bounds, **lower), ("-c", code))  # type: ignore[arg-type]

    return ask


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hrm-console" / "checked"


def write(path: Path, raw: bytes) -> str:
    """The file with its sha256 beside it."""
    digest = hashlib.sha256(raw).hexdigest()
    path.write_bytes(raw)
    digest_path(path).write_text(f"{digest}  {path.name}\n", encoding="ascii")
    return digest


@pytest.fixture
def data(tmp_path: Path, synthetic_tasks: list[Task]) -> Path:
    write(tmp_path / "data.h5", to_bytes(build([Source("synthetic", tuple(synthetic_tasks))])))
    return tmp_path / "data.h5"


def never(path: Path, bounds: Bounds) -> Answer:
    raise AssertionError("a child was asked")


def words_of(path: Path, ask: Callable[[Path, Bounds], Answer]) -> list[str]:
    """The lines of the refusal, each fit for a terminal."""
    with pytest.raises(UserError) as refused:
        refuse_harmful(path, ask)
    assert refused.value.exit_code == 1
    lines = refused.value.message.split("\n")
    assert len(lines) <= 2 and [clean(line) for line in lines] == lines
    return lines


@pytest.mark.parametrize(
    ("name", "lower", "said"),
    [
        ("dies", {}, "was killed by SIGSEGV."),
        ("hangs", {"cpu_s": 1}, "was not done after 30 s of processor time."),
        ("sleeps", {"wall_s": 0.5}, "was not done after 90 s."),
        ("eats", {}, "MiB of memory."),
    ],
)
def test_what_happens_to_the_child_is_a_line_and_nothing_is_kept(
    name: str, lower: dict[str, float], said: str, data: Path, cache: Path
) -> None:
    first, second = words_of(data, fake(name, **lower))
    assert first.startswith(f"data file {data} is not loaded: the process that reads it first ") and first.endswith(
        said
    )
    assert second.startswith("It is damaged or made to do harm; build it with `hrm data build arc1`")
    assert not cache.exists()


def test_a_refusal_is_the_loaders_own_words_in_two_lines(data: Path, cache: Path) -> None:
    assert words_of(data, fake("refuses")) == ["it is \u241b[2J no good", "second"]
    write(data, data.read_bytes().replace(b"hrm-data", b"hrm-dare"))
    with pytest.raises(UserError) as loader:
        read_content(data, guard.BUILD_IT)
    assert words_of(data, ask_child) == [loader.value.message]
    assert not cache.exists()


def test_a_child_that_cannot_start_or_lies_is_no_good_verdict(
    data: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("leaves", "writes"):
        first, second = words_of(data, fake(name))
        assert "could not be checked" in first and "exit code 1" in first and "hrm doctor" in second
    assert Path("written").read_bytes() == b""
    assert "was changed while it was being checked" in words_of(data, fake("lies"))[0]
    assert not cache.exists()


def test_the_child_needs_little_and_gets_little(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fake("loads")(data, bounds_of(1)) == Answer(GOOD, "")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    names = fake("environment")(data, bounds_of(1)).said.split()
    assert "SECRET_TOKEN" not in names and "SECRET_TOKEN" not in child_environment()
    assert set(names) <= {*guard._PASSED_ON, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LC_CTYPE"}


def test_a_good_verdict_is_not_asked_for_again_and_another_file_is(data: Path, cache: Path) -> None:
    refuse_harmful(data)
    digest = digest_path(data).read_text().split()[0]
    assert [path.name for path in cache.iterdir()] == [f"{digest}.json"]
    assert cache.joinpath(f"{digest}.json").stat().st_mode & 0o777 == 0o600
    refuse_harmful(data, never)
    other = write(data, b"something else")
    with pytest.raises(AssertionError, match="a child was asked"):
        refuse_harmful(data, never)
    assert "is not one that this version reads" in words_of(data, ask_child)[0]
    assert not is_known_good(other)


def test_a_changed_file_beside_its_old_sha256_is_still_refused_by_the_loader(data: Path) -> None:
    refuse_harmful(data)
    data.write_bytes(data.read_bytes()[:-1])
    refuse_harmful(data, never)  # its verdict is that of the recorded bytes ...
    with pytest.raises(UserError, match="is damaged or was changed"):  # ... and HDF5 sees no other
        read_content(data, guard.BUILD_IT)


def test_a_poisoned_verdict_does_not_count(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_harmful(data)
    digest = digest_path(data).read_text().split()[0]
    path = cache / f"{digest}.json"
    good = path.read_bytes()
    for bad in (b"", b"\xff{", b"[]", b"{}", good.replace(b'"check": 1', b'"check": 0'), good.replace(b"3", b"4")):
        path.write_bytes(bad)
        assert not is_known_good(digest), bad
    path.write_bytes(good)
    assert is_known_good(digest)
    path.chmod(0o620)  # others may have written it
    assert not is_known_good(digest)
    path.chmod(0o600)
    path.rename(cache / "elsewhere")
    path.symlink_to(cache / "elsewhere")
    assert not is_known_good(digest)
    path.unlink()
    (cache / "elsewhere").rename(path)
    assert is_known_good(digest)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)  # it is another user's
    assert not is_known_good(digest)


def test_a_cache_that_cannot_be_written_or_overflows_harms_nothing(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.parent.mkdir()
    cache.parent.write_bytes(b"a file where the folder should be")
    refuse_harmful(data)
    with pytest.raises(AssertionError, match="a child was asked"):
        refuse_harmful(data, never)
    cache.parent.unlink()
    monkeypatch.setattr(guard, "MOST_VERDICTS", 2)
    for number in range(4):
        digest = write(data, bytes([number]))
        refuse_harmful(data, lambda path, bounds, digest=digest: Answer(GOOD, digest))  # type: ignore[misc]
    assert len(list(cache.iterdir())) == 2 and is_known_good(digest)


def test_what_hdf5_would_not_see_is_left_to_the_loader(tmp_path: Path, data: Path) -> None:
    refuse_harmful(tmp_path / "missing.h5", never)
    digest_path(data).write_bytes(b"")
    refuse_harmful(data, never)
    digest_path(data).unlink()
    refuse_harmful(data, never)


def test_the_bounds_grow_with_the_file_and_end_with_the_machine() -> None:
    small, large = bounds_of(2**20), bounds_of(2**31)
    assert small.memory >= guard.INTERPRETER_BYTES and small.cpu_s < large.cpu_s and small.wall_s < large.wall_s
    assert large.memory <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    "words",
    [
        ["data", "info", "--data"],
        ["data", "check", "--data"],
        ["data", "show", "small", "--data"],
        ["run", "demo", "--runs", ".", "--data"],
        ["demo", "--plain", "--runs", ".", "--data"],
        ["sweep", "demo", "--seeds", "1", "--runs", ".", "--data"],
        ["bench", "step", "--data"],
        ["bench", "saving", "--data"],
    ],
)
def test_commands_ask_before_they_load(
    words: list[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def harmful(path: Path) -> None:
        asked.append(path)
        raise UserError("it is harmful", 1)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(guard, "refuse_harmful", harmful)
    answer = CliRunner().invoke(cli, [*words, str(data)])
    assert (answer.exit_code, answer.stderr, asked) == (1, "error: it is harmful\n", [data])


def test_a_run_asks_about_the_data_that_it_began_with(
    made_runs: Any, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`resume` before it loads torch, and `eval` of a checkpoint, whether the file is given or named by run.json."""
    asked: list[Path] = []

    def harmful(path: Path) -> None:
        asked.append(path)
        raise UserError("it is harmful", 1)

    monkeypatch.setattr(guard, "refuse_harmful", harmful)
    run = made_runs.make("one", run_json={"data": str(data)}, state="stopped")
    for words in (["resume", "one"], ["resume", "one", "--data", str(data)]):
        answer = CliRunner().invoke(cli, [*words, "--runs", str(run.parent)])
        assert (answer.exit_code, answer.stderr, asked.pop()) == (1, "error: it is harmful\n", data)
    for given in (None, data):
        with pytest.raises(UserError, match="it is harmful"):
            data_of(run / "checkpoints" / "step-00000010", build_recipe("demo", []).recipe, given)
        assert asked.pop() == data


def test_a_whole_command_on_a_file_that_kills_the_child(data: Path, tmp_path: Path) -> None:
    """`hrm data info` in a process of its own, its child replaced by one that dies: a line, exit code 1."""
    code = (
        "import functools, sys\nfrom hrm_core.data import guard\nfrom hrm_core.cli.main import main\n"
        "guard.refuse_harmful.__defaults__ = (functools.partial(guard.ask_child, child=('-c', "
        "'import os; os.kill(os.getpid(), 11)')),)\nsys.argv[1:] = ['data', 'info', '--data', sys.argv[1]]\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(data)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: data file ") and "was killed by SIGSEGV" in done.stderr
    assert len(done.stderr.splitlines()) == 2
