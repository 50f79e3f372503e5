"""The examples in the pages of `docs/` do what the pages say.

A block after `<!-- test -->` is run, all of a page in one folder and one Python namespace: Python as it stands, console
line by line, with the output that the page shows (`...` stands for anything in a line, alone for any lines). The
folder has a tiny run `first`, made-up tasks in place of ARC-AGI-1, puzzles as files, and published checkpoints of
random numbers.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner
from published_reference import HRM, TRM, make_state
from small_data import TINY, as_json, small_tasks, write_small

from hrm_core import api
from hrm_core.cli.main import cli

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = {"api.md": 5, "import.md": 4, "predict-and-submit.md": 5}
BLOCK = re.compile(r"<!-- test -->\n```(python|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CADENCES = ("training.checkpoint_every=4", "training.fast_validation_every=4", "training.full_validation_every=4")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pages")
    data = write_small(root / "datasets" / "built" / "arc1.h5")
    api.train("demo", overrides=(*TINY, *CADENCES), name="first", runs_dir=root / "runs", data=data)
    tasks = [task for task in small_tasks() if not task.evaluation][:2]
    known, other = tasks[0], small_tasks(seed=2)[0]
    challenges = {task.id: as_json(task, outputs=False) for task in tasks}
    solutions = {task.id: [pair.target.tolist() for pair in task.tests] for task in tasks}
    for name, value in (
        (known.id, as_json(known)),
        ("new", as_json(other, outputs=False)),
        ("challenges", challenges),
        ("solutions", solutions),
    ):
        (root / f"{name}.json").write_text(json.dumps(value))
    for name, sizes in (("hrm", HRM), ("trm", TRM)):
        folder = root / f"published-{name}"
        folder.mkdir()
        torch.save(make_state(sizes), folder / "step_77")
        (folder / "all_config.yaml").write_text(yaml.safe_dump({"arch": sizes.arch}))
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "page"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def commands(text: str) -> list[tuple[str, str]]:
    """Each line after `$`, and what is to be seen after it."""
    parts = re.split(r"^\$ (.*)\n", text.replace("\\\n", " "), flags=re.MULTILINE)
    assert parts[0] == ""
    return list(zip(parts[1::2], parts[2::2], strict=True))


def matches(shown: str, seen: str) -> bool:
    """Line by line; `...` in a line stands for a part of it, alone for any lines or none."""
    wanted = ""
    for line in shown.strip().splitlines():
        wanted += r"(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
    return re.fullmatch(wanted, seen.strip() + "\n" if seen.strip() else "") is not None


def test_what_matches_and_what_does_not() -> None:
    assert commands("$ hrm a \\\n  b\nout\nmore\n$ hrm c\n") == [("hrm a    b", "out\nmore\n"), ("hrm c", "")]
    assert matches("one ... three\n", "one two three\n") and not matches("one ... three", "one two\nthree")
    assert matches("one\n...\nlast", "one\nlast") and matches("one\n...\nlast", "one\n2\n3\nlast")
    assert not matches("", "anything") and not matches("one\n...", "two") and matches("", "\n")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, place: Path) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("<!-- test -->") == PAGES[page]
    names: dict[str, Any] = {"__name__": "page"}
    for language, content in blocks:
        if language == "python":
            exec(compile(content, page, "exec"), names)
            continue
        for line, shown in commands(content):
            words = shlex.split(line, comments=True)
            assert words.pop(0) == "hrm"
            done = CliRunner().invoke(cli, words)
            assert done.exit_code == 0, f"{line}\n{done.output}"
            assert matches(shown, done.stdout), f"{line}\nshown:\n{shown}\nseen:\n{done.stdout}"
