"""Room `runs`: the folder of one job elsewhere, `<runs>/queue/jobs/<job>/`, by which both sides speak.

`nonce.txt` proves to the node that it sees this very folder; `order.json` is what it is to run, taken away again to
withdraw it; `launched.json` says where it runs, `ended.json` how it ended. Mode 0700: what an engine keeps there
(submitit pickles its own small function) is nobody else's. Read by `job.py` on the node.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import explain_os_error, make_folder, write_bytes, write_json
from hrm_core.runs.backends.base import JobState, Order
from hrm_core.runs.files import Row, integer, items, mapping, modified_s, read_json_object, read_small, string
from hrm_core.runs.launch import identity
from hrm_core.runs.queue_records import Code

FOLDER: Final = "jobs"
OLD_S: Final = 86400.0
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", re.ASCII)


@final
@dataclass(frozen=True)
class JobFolder:
    """The files of one job."""

    path: Path

    @property
    def order(self) -> Path:
        """What is to be run."""
        return self.path / "order.json"

    @property
    def nonce(self) -> Path:
        """The proof that a node sees this folder."""
        return self.path / "nonce.txt"

    @property
    def launched(self) -> Path:
        """Where it runs."""
        return self.path / "launched.json"

    @property
    def ended(self) -> Path:
        """How it ended."""
        return self.path / "ended.json"

    @property
    def output(self) -> Path:
        """What the watching process on the node printed."""
        return self.path / "job.txt"


def jobs_folder(runs_dir: Path) -> Path:
    """Where the jobs of a runs folder lie."""
    return runs_dir / "queue" / FOLDER


def new_job(runs_dir: Path, order: Order) -> tuple[JobFolder, str]:
    """Writes the folder of a job; gives it and its nonce. UserError (1) if the disk refuses."""
    place = jobs_folder(runs_dir)
    nonce = secrets.token_hex(16)
    folder = JobFolder(place / f"{order.folder.name[:64]}-{secrets.token_hex(4)}")
    row: Row = {
        "nonce": nonce,
        "argv": list(order.argv),
        "folder": str(order.folder),
        "here": None if order.here is None else str(order.here),
        "code": None if order.code is None else asdict(order.code),
        "python": sys.executable,
    }
    try:
        make_folder(place.parent)
        place.mkdir(mode=0o700, exist_ok=True)
        place.chmod(0o700)
        folder.path.mkdir(mode=0o700)
        write_bytes(folder.nonce, nonce.encode("ascii"))
        write_json(folder.order, row, seal=True)
    except OSError as error:
        raise explain_os_error(error) from error
    return folder, nonce


def job_folder(runs_dir: Path, job: str) -> JobFolder:
    """The folder of a job by its name, which is checked: it comes from a file."""
    assert NAME.fullmatch(job), "a job's name is ours"
    return JobFolder(jobs_folder(runs_dir) / job)


def sees(folder: JobFolder, nonce: str) -> bool:
    """Whether this machine sees the folder that the job was ordered in."""
    return read_small(folder.nonce, 200) == nonce.encode("ascii")


def read_order(folder: JobFolder) -> Order | None:
    """What is to be run, by the Python of this machine; None if it was withdrawn."""
    row = read_json_object(folder.order)
    argv = [part for part in items(row, "argv") if isinstance(part, str)]
    place, here = string(row, "folder", 4000), string(row, "here", 4000)
    if row is None or not argv or place is None:
        return None
    if argv[0] == string(row, "python", 4000):
        argv[0] = sys.executable
    code = mapping(row, "code")
    wanted = Code(*(string(code, field.name) for field in fields(Code))) if code else None
    return Order(tuple(argv), Path(place), Path(here) if here and os.path.isdir(here) else None, None, wanted)


def withdraw(folder: JobFolder) -> None:
    """Takes the order away: whoever comes later with this job, a node that was thought lost too, runs nothing."""
    try:
        folder.order.unlink(missing_ok=True)
    except OSError as error:
        raise explain_os_error(error) from error


def write_launched(folder: JobFolder, where: str, pid: int) -> None:
    """Says where a job runs."""
    write_json(folder.launched, {"where": where, "process": identity(pid)}, seal=True)


def write_ended(folder: JobFolder, code: int | None, *, cut: bool, words: str = "") -> None:
    """Says how a job ended; `cut`: not by itself, its engine left it or it was withdrawn."""
    write_json(folder.ended, {"code": code, "cut": cut, "words": words}, seal=True)


def told(folder: JobFolder) -> JobState | None:
    """What the folder says of a job; None if nothing yet."""
    launched = read_json_object(folder.launched)
    where = string(launched, "where", 200) or ""
    ended = read_json_object(folder.ended)
    if ended is not None:
        words = string(ended, "words", 600) or ""
        if ended.get("cut") is True:
            return JobState("lost", integer(ended, "code"), words, where)
        return JobState("ended", integer(ended, "code"), words, where)
    return None if launched is None else JobState("running", where=where)


def clean_jobs(runs_dir: Path, older_than_s: float = OLD_S) -> None:
    """Takes the folders of jobs away that are over for long. Never raises."""
    for path in jobs_folder(runs_dir).glob("*"):
        folder, changed = JobFolder(path), modified_s(path)
        over = folder.ended.exists() or not folder.order.exists()
        if over and changed is not None and time.time() - changed > older_than_s:
            shutil.rmtree(path, ignore_errors=True)


def refuse_name(name: str) -> str:
    """A name for a node or a partition, as it may stand in a command. UserError (2) for anything else."""
    if NAME.fullmatch(name) is None:
        raise UserError(f"{name[:60]!r} is no name; letters, digits, dots, dashes and underscores make one.")
    return name
