"""`hrm archive` on folders of the real writer: what it prints, its JSON, and its errors in one or two lines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from made_archive import make_archived

from hrm_core.cli.main import cli
from hrm_core.errors import UserError


def run(runs: Path, *words: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["archive", *words, "--runs", str(runs)], input=answer)


def data(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    make_archived(tmp_path / "runs", "one", {10: 0.1, 20: 0.3})
    make_archived(tmp_path / "runs", "two", {30: 0.2}, begun=5, parent={"run": "one", "step": 20, "digest": "f" * 64})
    return tmp_path / "runs"


def test_list_shows_each_value_with_its_trivial_one(runs: Path) -> None:
    lines = run(runs, "list").stdout.splitlines()
    assert "3 snapshots of 2 runs" in lines[0]
    assert "exact % (trivial)" in lines[1]
    assert [line.split()[0] for line in lines[2:]] == ["one@20", "two@30", "one@10"]
    assert "30.0 (0.9)" in lines[2]
    assert "+29.1" in lines[2]
    assert "cell accuracy % (trivial)" in run(runs, "list", "--by", "cell_accuracy").stdout


def test_list_as_json_is_limited_and_sorted(runs: Path) -> None:
    (first, second) = data(run(runs, "list", "--json", "--limit", "2"))
    assert first["name"] == "one@20"
    assert first["metrics"]["exact"] == {
        "value": 0.3, "trivial": {"name": "copy", "value": 0.009}, "lift": pytest.approx(0.291),
    }  # fmt: skip
    assert second["parent"] == {"run": "one", "step": 20, "digest": "f" * 64}
    assert [entry["name"] for entry in data(run(runs, "list", "--json", "--best"))] == ["one@20", "two@30"]


def test_an_empty_archive_says_how_it_fills(tmp_path: Path) -> None:
    assert "Nothing is archived" in run(tmp_path, "list").stdout
    assert data(run(tmp_path, "list", "--json")) == []


def test_show_tells_everything(runs: Path) -> None:
    text = run(runs, "show", "one@best").stdout
    for words in (
        "one@20   [best]", "every byte is as it was written", "status then step 17 of 1000", "exact grid", "0.9 (copy)",
        "Settings that differ from EXP-00, preset demo", "└ two   (EXP-00, from step 20)", "full validation, new best",
    ):  # fmt: skip
        assert words in text, words
    told = data(run(runs, "show", "two@best", "--json"))
    assert told["whole"] is True
    assert told["ancestors"] == [{"run": "one", "step": 20, "digest": "f" * 64}]
    assert data(run(runs, "show", "one@20", "--json"))["children"][0]["run"] == "two"


def test_show_of_a_checkpoint_and_a_damaged_one(runs: Path) -> None:
    told = data(run(runs, "show", "one@last", "--json"))
    assert told["metrics"] == {}
    assert told["name"] == "one@20"
    (runs / "one" / "archive" / "best-00000010" / "weights.safetensors").write_bytes(b"x")
    assert "weights.safetensors has 1 bytes instead of 1000" in run(runs, "show", "one@10").stdout


def test_promote_pin_and_back(runs: Path) -> None:
    assert run(runs, "promote", "one@10", "champion").exit_code == 0
    assert run(runs, "pin", "one@20").exit_code == 0
    marks = {entry["name"]: (entry["pinned"], entry["promoted"]) for entry in data(run(runs, "list", "--json"))}
    assert marks == {"one@10": (False, ["champion"]), "one@20": (True, []), "two@30": (False, [])}
    assert "taken from  one@10" in run(runs, "show", "champion").stdout
    assert run(runs, "pin", "one@20", "--off").exit_code == 0
    assert run(runs, "promote", "--remove", "champion").exit_code == 0
    assert all(not entry["pinned"] and not entry["promoted"] for entry in data(run(runs, "list", "--json")))


def test_prune_asks_once_and_shows_what_goes(runs: Path) -> None:
    assert "nothing needs to go" in run(runs, "prune").stdout
    shown = run(runs, "prune", "--budget", "0", answer="n\n")
    assert shown.exit_code == 130
    assert "one@10" in shown.stdout
    assert "frees" in shown.stdout
    assert len(data(run(runs, "list", "--json"))) == 3
    plan = data(run(runs, "prune", "--budget", "0", "--dry-run", "--json"))
    assert [entry["name"] for entry in plan["goes"]] == ["one@10"]
    assert plan["removed"] == []
    assert run(runs, "prune", "--budget", "0", "--json").exit_code != 0
    done = data(run(runs, "prune", "--budget", "0", "--yes", "--json"))
    assert done["removed"] == ["one@10"]
    assert [entry["name"] for entry in data(run(runs, "list", "--json"))] == ["one@20", "two@30"]


def test_export_says_where(runs: Path, tmp_path: Path) -> None:
    result = run(runs, "export", "one@best", str(tmp_path / "out.tar"))
    assert result.exit_code == 0
    assert str(tmp_path / "out.tar") in result.stdout
    assert (tmp_path / "out.tar").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list", "--by", "exakt"), "no evaluation has it"),
        (("show", "three@best"), "there is no run"),
        (("promote", "one@10"), "needs a name"),
        (("promote", "one@10", "two"), "is a run's"),
        (("promote", "--remove", "one"), "no promoted snapshot"),
        (("pin", "one@last"), ""),
        (("export", "one@10", "/proc/none/here"), ""),
    ],
)
def test_errors_name_the_thing(runs: Path, words: tuple[str, ...], said: str) -> None:
    result = run(runs, *words)
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert len(result.output.strip().splitlines()) <= 2
    assert "Traceback" not in result.output
    assert not isinstance(result.exception, UserError)


def test_no_torch_is_loaded(runs: Path) -> None:
    script = (
        "import sys\nfrom hrm_core.cli.main import cli\n"
        "try:\n    cli.main(['archive', 'show', 'one@best', '--json', '--runs', sys.argv[1]])\n"
        "except SystemExit:\n    pass\n"
        "assert not {'torch', 'numpy', 'h5py', 'scipy', 'textual'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(runs)], check=True, stdout=subprocess.DEVNULL)
