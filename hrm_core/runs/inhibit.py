"""Room `runs`: keeping the machine awake while a run goes on, where systemd can be asked to.

name of a run -> a child `systemd-inhibit ... cat` whose standard input is a pipe that only this process holds open. The
kernel closes the pipe when this process ends, kill -9 too, `cat` then reads its end and leaves, and with it the lock on
sleep. No systemd, a container, WSL (whose Windows sleeps as it likes) or a refusal: nothing happens, and the run goes
on. What is asked for can be seen with `systemd-inhibit --list`.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hrm_core.runs.text import clean


def can_inhibit(root: Path = Path("/")) -> bool:
    """Whether this machine runs systemd itself and is neither a container nor WSL. `root` is for tests."""
    if not (root / "run/systemd/system").is_dir():
        return False
    if (root / "run/systemd/container").exists() or (root / ".dockerenv").exists():
        return False
    try:
        kernel = (root / "proc/sys/kernel/osrelease").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    return "microsoft" not in kernel.lower()


def _start(name: str) -> subprocess.Popen[bytes] | None:
    program, reader = shutil.which("systemd-inhibit"), shutil.which("cat")
    if program is None or reader is None:
        return None
    words = ["--what=sleep:idle", "--mode=block", "--who=hrm", f"--why=run {clean(name)[:80]}", reader]
    try:
        # In its own session it has no terminal, so that nothing can ask for a password there.
        return subprocess.Popen(
            [program, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
        )
    except OSError:
        return None


@contextmanager
def awake(name: str, wanted: bool = True, root: Path = Path("/")) -> Iterator[None]:
    """Within the block the machine does not go to sleep by itself, where it can be asked not to. Never fails."""
    child = _start(name) if wanted and can_inhibit(root) else None
    try:
        yield
    finally:
        if child is not None:
            assert child.stdin is not None
            with suppress(OSError):
                child.stdin.close()
            # It leaves by itself; whoever waited here would wait for systemd.
            threading.Thread(target=child.wait, name=f"awake-{child.pid}", daemon=True).start()
