"""Room `runs`: starting a run that outlives the terminal, and knowing a process again.

argv + run folder -> pid of a process in its own session, with no terminal: it survives a lost connection. A process is
known by pid, start ticks and boot id (never by pid or wall clock alone: pids are reused, clocks are set). Which
command is started is the caller's affair; there is no shell.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hrm_core.runs.atomic import explain_os_error, make_folder, open_append, write_json
from hrm_core.runs.files import Row, integer, string
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.records import utc_now

# The `hrm` command of this installation, whatever PATH says.
HRM_COMMAND: Final = (sys.executable, "-m", "hrm_core.cli.main")
# Set by whoever starts it elsewhere: SLURM or Ray, and the node.
WHERE: Final = "HRM_WHERE"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _stat_fields(pid: int) -> list[str]:
    """Fields 3 and on of /proc/<pid>/stat; empty if there is no such process. The name may hold blanks and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _start_ticks(pid: int) -> int:
    fields = _stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 and fields[19].isdigit() else 0


def identity(pid: int | None = None) -> Row:
    """pid, start_ticks (since boot), boot_id and host of a process (default: this one). 0 and "" where unknown."""
    number = os.getpid() if pid is None else pid
    return {"pid": number, "start_ticks": _start_ticks(number), "boot_id": _boot_id(), "host": platform.node()}


def same_host(who: Row) -> bool:
    """Whether `who` (an identity) lives or lived on this host: the same boot, or the same name."""
    boot, host = string(who, "boot_id"), string(who, "host")
    return bool((boot and boot == _boot_id()) or (host and host == platform.node()))


def is_alive(who: Row) -> bool:
    """Whether the very process `who` names runs on this host now. A zombie is not alive."""
    pid, ticks, boot = integer(who, "pid"), integer(who, "start_ticks"), string(who, "boot_id")
    if pid is None or pid <= 0 or not same_host(who) or (boot and boot != _boot_id()):
        return False
    fields = _stat_fields(pid)
    if not fields:
        return False if Path("/proc/self/stat").exists() else _answers(pid)
    return fields[0] not in ("Z", "X") and (not ticks or _start_ticks(pid) == ticks)


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def process_age_s() -> float:
    """Seconds since this process began; 0 where the system does not say."""
    try:
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 0.0
    ticks = _start_ticks(os.getpid())
    return max(uptime - ticks / os.sysconf("SC_CLK_TCK"), 0.0) if ticks else 0.0


def start_process(
    argv: Sequence[str],
    folder: Path | RunFolder,
    environment: Mapping[str, str] | None = None,
    working_folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Starts `argv` in its own session, without a terminal, output appended to `output.txt`; whoever asks collects it.

    `environment` replaces the whole environment, `working_folder` the current one (default: inherited). Its identity
    goes to `launch.json`, by which a reader knows that the run is starting. UserError (exit 1) if the folder or the
    process cannot be made.
    """
    layout = RunFolder.of(folder)
    try:
        make_folder(layout.path)
        with open(open_append(layout.output), "ab") as output:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
                env=None if environment is None else dict(environment),
                cwd=working_folder,
            )
        about: Row = {"time_utc": utc_now(), "process": identity(process.pid), "argv": list(argv)}
        where = (os.environ if environment is None else environment).get(WHERE)
        about |= {"where": where} if where else {}
        write_json(layout.launch_json, about, seal=True)
    except OSError as error:
        raise explain_os_error(error) from error
    return process


def start_detached(argv: Sequence[str], folder: Path | RunFolder, environment: Mapping[str, str] | None = None) -> int:
    """`start_process` for a run that outlives this process; gives its pid."""
    process = start_process(argv, folder, environment)
    # Someone must collect the child when it ends before we do, or it stays a zombie.
    threading.Thread(target=process.wait, name=f"wait-{process.pid}", daemon=True).start()
    return process.pid
