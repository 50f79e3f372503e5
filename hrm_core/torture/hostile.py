"""Files from the internet that mean harm, and every command that can be pointed at one.

Torture room. The corpus is made when it is run (`hostile_files.py`, `hostile_folders.py`), nothing of it is kept. Each
file is read by real commands, each in a process of its own (`hostile_child.py`) with bounded memory and time. Beside
them lie a marker that a pickle would make and a folder with a secret: rows count how many commands ran code, touched or
gave away something outside, took too much, or ended in a traceback instead of a sentence.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from hrm_core.torture.bench import SMALL_RUN, Bench, Row

HRM = "hrm_core.cli.main"
CONSOLE = "hrm_console"
MEMORY_MIB, SECONDS = 3072, 60.0
BAR = f"0 ran code, 0 outside touched or shown, under {MEMORY_MIB // 1024} GiB and {SECONDS:.0f} s, ended in a sentence"


@final
@dataclass(frozen=True)
class Ground:
    """Where it happens. good: a real, small, finished run; outside: not to be touched; marker: made by a payload."""

    folder: Path
    data: Path
    good: Path
    outside: Path
    marker: Path
    token: str

    @property
    def pickle(self) -> bytes:
        """A pickle that makes the marker when it is loaded, written by hand: protocol 0."""
        return f"cposix\nsystem\n(Vtouch {self.marker}\ntR.".encode()

    def place(self, name: str) -> Path:
        """A new empty folder for one hostile thing."""
        folder = self.folder / "corpus" / name
        folder.mkdir(parents=True)
        return folder

    def run(self, name: str) -> Path:
        """A copy of the good run, not finished: a folder of runs of its own with a run `one`."""
        run = self.place(name) / "one"
        shutil.copytree(self.good, run)
        (run / "result.json").unlink()
        return run

    def snapshot(self, name: str) -> Path:
        """A copy of the good run's last checkpoint."""
        folder = self.folder / "corpus" / name / "snapshot"
        folder.parent.mkdir(parents=True)
        shutil.copytree(last_checkpoint(self.good), folder)
        return folder


@final
@dataclass(frozen=True)
class Case:
    """A command on a hostile thing. refused: it must not end with 0."""

    name: str
    words: tuple[str, ...]
    module: str = HRM
    refused: bool = True
    environment: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class Verdict:
    """What a command did; `faults` is empty if nothing of it was wrong."""

    case: Case
    faults: tuple[str, ...]
    seconds: float
    memory_mib: float


def last_checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run."""
    return max((run / "checkpoints").glob("step-*"))


def small_words(*more: str) -> tuple[str, ...]:
    """Words of the small run, twenty steps."""
    return ("demo", *(word for word in SMALL_RUN if "max_steps" not in word), "training.max_steps=20", *more)


def tree_digest(folder: Path) -> str:
    """sha256 over every name, mode, time of change and byte under a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        digest.update(f"{path.relative_to(folder)} {state.st_mode} {state.st_mtime_ns} {state.st_size}\n".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def prepare(bench: Bench) -> Ground:
    """The good run, the folder outside with its secrets, and proof that the payload is one."""
    token = f"secret-{secrets.token_hex(8)}"
    outside = bench.folder / "outside"
    for name in ("control", "step-00000010"):
        (outside / name).mkdir(parents=True)
    for name, text in (
        ("secret.txt", token),
        ("secret.json", json.dumps({token: token})),
        ("secret.toml", f'"{token}" = "{token}"\n'),
        ("control/letter.json", json.dumps({"kind": "note", "text": token})),
        ("7.jsonl.gz", token),
        (".a.tmp-1-00000000", token),
        ("step-00000010/meta.json", token),
    ):
        (outside / name).write_text(text, encoding="utf-8")
    runs = bench.folder / "good"
    argv = bench.command("run", *small_words("--runs", str(runs), "--data", str(bench.data), "--name", "one"))
    done = subprocess.run(argv, env=bench.environment(), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    ground = Ground(bench.folder, bench.data, runs / "one", outside, bench.folder / "marker", token)
    assert fires(ground), "the payload does nothing, so the rows would say nothing"
    return ground


def fires(ground: Ground) -> bool:
    """Whether the payload makes the marker when somebody does load it: `python -m pickle FILE`, in its own process."""
    path = ground.folder / "payload.pkl"
    path.write_bytes(ground.pickle)
    subprocess.run([sys.executable, "-m", "pickle", str(path)], capture_output=True, timeout=60, check=False)
    made = ground.marker.exists()
    ground.marker.unlink(missing_ok=True)
    return made


@final
class Runner:
    """Runs cases in forks of one prepared process and judges each."""

    def __init__(self, ground: Ground, environment: dict[str, str]) -> None:
        self.ground = ground
        self.output = ground.folder / "output.txt"
        self.home = ground.folder / "elsewhere"
        self.home.mkdir(exist_ok=True)
        argv = [sys.executable, "-m", "hrm_core.torture.hostile_child"]
        self.errors = (ground.folder / "child.txt").open("wb")
        self.child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=environment, text=True
        )

    def judge(self, case: Case, memory_mib: int = MEMORY_MIB, seconds: float = SECONDS) -> Verdict:
        """Runs one case; its faults, if any."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        before = tree_digest(self.ground.outside)
        order = {
            "module": case.module, "words": case.words, "folder": str(self.home), "output": str(self.output),
            "memory_bytes": memory_mib * 2**20, "seconds": seconds, "environment": case.environment,
        }  # fmt: skip
        self.child.stdin.write(json.dumps(order) + "\n")
        self.child.stdin.flush()
        answer: dict[str, Any] = json.loads(self.child.stdout.readline())
        text = self.output.read_bytes().decode("utf-8", "replace")
        faults = list(faults_of(case, answer, text, memory_mib))
        if self.ground.marker.exists():
            faults.append("it ran code")
            self.ground.marker.unlink()
        if self.ground.token in text:
            faults.append("it showed a secret")
        if tree_digest(self.ground.outside) != before:
            faults.append("it touched what is outside")
        return Verdict(case, tuple(faults), answer["seconds"], answer["memory_mib"])

    def close(self) -> None:
        """Ends the process."""
        for pipe in (self.child.stdin, self.child.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self.child.wait(30)
        self.errors.close()


def faults_of(case: Case, answer: dict[str, Any], text: str, memory_mib: int) -> Iterator[str]:
    """What is wrong with how a command ended and what it said."""
    if answer["late"]:
        yield "it did not end in time"
    elif answer["code"] < 0:
        yield f"signal {-answer['code']} ended it"
    elif answer["code"] not in (0, 1, 2):
        yield f"it ended with {answer['code']}"
    elif case.refused and answer["code"] == 0:
        yield "it took the file"
    if answer["memory_mib"] > memory_mib:
        yield f"it took {answer['memory_mib']:.0f} MiB"
    if "Traceback" in text:
        yield "it ended in a traceback"
    if "not enough memory" in text:
        yield "it ran into the limit of memory"
    lines = text.splitlines()
    said = next((at for at, line in enumerate(lines) if line.startswith("error: ")), None)
    if answer["code"] in (1, 2) and (said is None or len(lines) - said > 2):
        yield "it did not end in one or two lines"
    if said is not None and max(len(line) for line in lines[said:]) > 2000:
        yield "its sentence has no end"


def copied_out(ground: Ground) -> list[str]:
    """Files outside the folder of secrets that hold the secret now: something copied it."""
    found = []
    for place, folders, names in os.walk(ground.folder):
        folders[:] = [name for name in folders if Path(place) / name != ground.outside]
        for name in names:
            path = Path(place) / name
            plain = path.is_file() and not path.is_symlink() and path.stat().st_size < 2**26
            if plain and ground.token.encode() in path.read_bytes():
                found.append(str(path.relative_to(ground.folder)))
    return found


def row_of(ground: Ground, group: str, how: str, verdicts: Sequence[Verdict]) -> Row:
    """The row of a group: counts of what was found in this run."""
    wrong = [verdict for verdict in verdicts if verdict.faults]
    leaked = copied_out(ground)

    def count(word: str) -> int:
        return sum(any(word in fault for fault in verdict.faults) for verdict in wrong)

    most = max(verdict.memory_mib for verdict in verdicts)
    longest = max(verdict.seconds for verdict in verdicts)
    found = (
        f"{count('ran code')} ran code, {count('outside')} touched and {count('secret') + len(leaked)} gave away what "
        f"is outside, {count('traceback')} tracebacks; at most {most:.0f} MiB and {longest:.1f} s"
    )
    few = "; ".join(f"{verdict.case.name}: {', '.join(verdict.faults)}" for verdict in wrong[:3])
    lost = "nothing" if not wrong and not leaked else f"{len(wrong)} not as they should: {few or leaked[0]}"
    return Row(f"hostile: {group}", how, len(verdicts), BAR, found, lost, not wrong and not leaked)


def trials(bench: Bench) -> Iterator[Row]:
    """A row for each kind of file."""
    from hrm_core.torture.hostile_files import FILES
    from hrm_core.torture.hostile_folders import FOLDERS

    ground = prepare(bench)
    runner = Runner(ground, dict(bench.environment()))
    try:
        for group, (how, make) in {**FILES, **FOLDERS}.items():
            yield row_of(ground, group, how, list(judged(bench, runner, make(ground, bench.short))))
            shutil.rmtree(ground.folder / "corpus", ignore_errors=True)
    finally:
        runner.close()


def judged(bench: Bench, runner: Runner, cases: Iterable[Case]) -> Iterator[Verdict]:
    """Every case run, what is wrong said at once."""
    for case in cases:
        verdict = runner.judge(case)
        if verdict.faults:
            bench.say(f"{case.name}: {', '.join(verdict.faults)}")
        yield verdict
