"""A data file is read by a child first: what kills HDF5 or keeps it busy for ever ends there, in a line.

Data room. path -> nothing, or the UserError that says what happened and what to do. Commands call `refuse_harmful`
before they load a file; the loader (`file.py`) does not. A good verdict is kept by the file's sha256 in the user's
cache, and found by the sha256 beside the file, which the loader compares with the bytes before HDF5 sees them: a file
that was looked at before costs one small read more. What this is not: a sandbox. The child may do what its user may.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import h5py

import hrm_core
from hrm_core.data import schema
from hrm_core.data.file import BUILD_IT, FREE_BYTES, MAX_FILE_BYTES, MOST_TIMES, recorded_digest
from hrm_core.data.guard_child import GOOD, NO_MEMORY, REFUSED
from hrm_core.errors import UserError
from hrm_core.runs.atomic import make_folder, write_json
from hrm_core.runs.files import open_regular, parse_sealed, read_at
from hrm_core.runs.text import clean
from hrm_core.runs.user_settings import cache_dir

CHECK_VERSION: Final = 1  # one more whenever the loader's checks become stricter: old verdicts are then asked anew
CHILD: Final = ("-m", "hrm_core.data.guard_child")
# The interpreter with h5py has 0.12 GiB of address space. The loader takes no more than a mask and a copy beside what
# the file may unpack to.
INTERPRETER_BYTES: Final = 2**30
COPIES: Final = 3
# arc1.h5 (1.5 MiB) takes 0.35 s of processor, all but 0.14 of it for the start: a machine may be 50 times slower.
START_S, MIB_S, WALL_TIMES = 30, 2, 3
MOST_VERDICTS: Final = 500
# What an interpreter needs to find its packages, and nothing of what else the environment may hold.
_PASSED_ON: Final = ("PATH", "HOME", "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "LD_LIBRARY_PATH")


@final
@dataclass(frozen=True)
class Bounds:
    """What the child may take: bytes of address space, seconds of processor, seconds by the clock."""

    memory: int
    cpu_s: int
    wall_s: float


@final
@dataclass(frozen=True)
class Answer:
    """code: the child's exit code, negative for a signal, None for no end; said: what it wrote."""

    code: int | None
    said: str


Ask = Callable[[Path, Bounds], Answer]


def bounds_of(num_bytes: int) -> Bounds:
    """For a file of so many bytes: as much as the loader may take of it, but no more memory than there is."""
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    wanted = INTERPRETER_BYTES + COPIES * (FREE_BYTES + MOST_TIMES * num_bytes)
    cpu_s = START_S + MIB_S * (num_bytes >> 20)
    return Bounds(max(INTERPRETER_BYTES, min(wanted, there_is)), cpu_s, float(WALL_TIMES * cpu_s))


def child_environment() -> dict[str, str]:
    """Of ours what finds the packages; and one thread, since each takes address space of its own."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    here = Path(hrm_core.__file__).resolve().parent.parent
    if here.name not in ("site-packages", "dist-packages"):  # a checkout that may not be installed
        kept["PYTHONPATH"] = os.pathsep.join([str(here), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def ask_child(path: Path, bounds: Bounds, child: Sequence[str] = CHILD) -> Answer:
    """Starts the child and waits for its end, for as long as the bounds say."""
    words = [os.path.abspath(path), str(bounds.memory), str(bounds.cpu_s)]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-B", *child, *words],
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=bounds.wall_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(None, "")
    return Answer(done.returncode, done.stdout[:10_000].decode("utf-8", "replace"))


def refuse_harmful(path: Path, ask: Ask = ask_child) -> None:
    """UserError (1) unless the loader's reading of this file, in a process of its own, came to a good end.

    What has no readable sha256 beside it, or is no file, is left to the loader, which refuses it unread.
    """
    try:
        digest, num_bytes = recorded_digest(path), path.stat().st_size
    except OSError:
        return
    if num_bytes > MAX_FILE_BYTES or not _is_digest(digest) or is_known_good(digest):
        return
    bounds = bounds_of(num_bytes)
    answer = ask(path, bounds)
    if answer.code != GOOD:
        raise UserError(_words(path, answer, bounds), 1)
    if answer.said != digest:
        raise UserError(f"data file {clean(path)} was changed while it was being checked; {BUILD_IT}", 1)
    _keep(digest)


def _words(path: Path, answer: Answer, bounds: Bounds) -> str:
    """What happened, and what to do about it, in two lines."""
    if answer.code == REFUSED and answer.said:
        return "\n".join(clean(line) for line in answer.said.split("\n")[:2])
    if answer.code is None:
        what = f"was not done after {bounds.wall_s:.0f} s"
    elif answer.code == NO_MEMORY:
        what = f"needed more than {bounds.memory >> 20} MiB of memory"
    elif answer.code == -signal.SIGXCPU:
        what = f"was not done after {bounds.cpu_s} s of processor time"
    elif answer.code < 0:
        what = f"was killed by {_signal(-answer.code)}"
    else:  # the interpreter itself: packages that are gone, a limit of the system that is lower than ours
        return (
            f"data file {clean(path)} could not be checked: the process that reads it first ended with exit code "
            f"{answer.code}.\nSee whether `hrm doctor` finds something missing, and how much memory a process may have."
        )
    return (
        f"data file {clean(path)} is not loaded: the process that reads it first {what}.\n"
        f"It is damaged or made to do harm; {BUILD_IT}"
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _verdict(digest: str) -> dict[str, Any]:
    """What a kept verdict says; one of another check or another HDF5 does not count."""
    return {
        "check": CHECK_VERSION,
        "format": schema.FORMAT_VERSION,
        "hdf5": f"{h5py.__version__}/{h5py.version.hdf5_version}",
        "sha256": digest,
    }


def _verdict_path(digest: str) -> Path:
    return cache_dir() / "checked" / f"{digest}.json"


def is_known_good(digest: str) -> bool:
    """Whether this user's cache holds a verdict on a file of this sha256, written by this user alone."""
    with suppress(UserError):
        descriptor = open_regular(_verdict_path(digest))
        if descriptor is None:
            return False
        try:
            state = os.fstat(descriptor)
            ours = state.st_uid == os.geteuid() and not state.st_mode & 0o022
            return ours and parse_sealed(read_at(descriptor, 0, 10_000)) == _verdict(digest)
        finally:
            os.close(descriptor)
    return False


def _keep(digest: str) -> None:
    """Writes the verdict. Where that cannot be done the file is read by a child the next time too."""
    with suppress(UserError, OSError):
        path = _verdict_path(digest)
        make_folder(path.parent)
        kept = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in kept[: max(0, len(kept) + 1 - MOST_VERDICTS)]:
            old.unlink(missing_ok=True)
        write_json(path, _verdict(digest))
        path.chmod(0o600)
