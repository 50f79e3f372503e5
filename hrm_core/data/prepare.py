"""From names of sources to a built file on disk: read, refuse what is wrong, build, write.

Bad task files stop it unless they may be skipped, tasks that two sources share stop it unless they may be dropped. The
file is written whole or not at all, its sha256 beside it. What goes into the file: `build`; its form: `file`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from hrm_core.data.build import Progress, build
from hrm_core.data.duplicates import overlapping, repeated
from hrm_core.data.file import digest_path, digest_text, to_bytes
from hrm_core.data.guard import refuse_harmful
from hrm_core.data.schema import Content
from hrm_core.data.sources.recipes import built_name, read_source
from hrm_core.data.sources.source import Source
from hrm_core.errors import UserError
from hrm_core.runs.atomic import check_free_space, write_bytes
from hrm_core.runs.layout import default_built_dir
from hrm_core.runs.text import clean

NAMED = 3  # how many offenders a message names


@final
@dataclass(frozen=True)
class Prepared:
    """A file just written: where, what is in it, how many bytes, and what the builder has to say."""

    path: Path
    content: Content
    num_bytes: int
    notes: tuple[str, ...]


def prepare(
    names: Sequence[str],
    out: Path | None = None,
    skip_bad: bool = False,
    drop_overlap: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Build the named sources (names or paths) into `out`, by default into the folder of built data.

    UserError for unknown sources, bad files, overlaps; OSError as the disk gives it, with nothing half-written.
    """
    path = default_built_dir() / built_name(names) if out is None else out
    check_place(path)
    sources = [read_source(name) for name in names]
    notes = [note for source in sources for note in source.notes]
    notes += check_bad(sources, skip_bad)
    sources, dropped = without_overlap(sources, drop_overlap)
    notes += dropped
    content = build(sources, progress=progress)
    return Prepared(path, content, write_built(content, path), tuple(notes))


def check_place(path: Path) -> None:
    """UserError if a file cannot be made at `path`, said before minutes are spent on its content."""
    if path.is_dir():
        raise UserError(f"{clean(path)} is a folder; give a file name, such as {clean(path / 'my.h5')}")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"{clean(folder)} is a file, not a folder; choose another place with --out", exit_code=1)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{clean(folder)} may not be written; choose another place with --out", exit_code=1)


def ensure_built(source: str, progress: Progress | None = None) -> Path:
    """The built file of a recipe's `data.source`: built now if it is missing, else read by a child first."""
    path = default_built_dir() / built_name([source])
    if not path.exists():
        return prepare([source], path, progress=progress).path
    refuse_harmful(path)
    return path


def write_built(content: Content, path: Path) -> int:
    """Write the file and its sha256, each atomically; returns the file's bytes."""
    raw = to_bytes(content)
    check_free_space(path.parent, 2 * len(raw))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, raw)
    write_bytes(digest_path(path), digest_text(path, raw))
    return len(raw)


def check_bad(sources: Sequence[Source], skip_bad: bool) -> list[str]:
    """A note on what was skipped; UserError naming the first few bad files and their number if none may be."""
    bad = [item for source in sources for item in source.bad]
    if not bad:
        return []
    first = "; ".join(f"{clean(item.where)}: {clean(item.reason)}" for item in bad[:NAMED])
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    if skip_bad:
        return [f"skipped {_count(len(bad), 'invalid task')}: {first}{more}"]
    raise UserError(
        f"{_count(len(bad), 'task')} not valid; correct them, or leave them out with --skip-bad\n{first}{more}",
        exit_code=1,
    )


def without_overlap(sources: Sequence[Source], drop: bool) -> tuple[list[Source], list[str]]:
    """The sources without tasks that an earlier one holds, and notes; UserError if there are any, unless `drop`."""
    kept: list[Source] = []
    notes: list[str] = []
    for source in sources:
        before = [task for earlier in kept for task in earlier.tasks]
        shared = {id(task): task for task in [*repeated(source.tasks), *overlapping(before, source.tasks)]}
        if shared and not drop:
            names = ", ".join(clean(task.id) for task in list(shared.values())[:NAMED])
            where = " and ".join(earlier.name for earlier in kept) or "another of its folders"
            raise UserError(
                f"{_count(len(shared), 'task')} of {source.name} also in {where} ({names}, ...): "
                "tests of one would be trained on in the other\nleave them out with --drop-overlap"
            )
        tasks = tuple(task for task in source.tasks if id(task) not in shared)
        said = (f"dropped {_count(len(shared), 'task')} of {source.name} that came before",) if shared else ()
        notes.extend(said)
        kept.append(replace(source, tasks=tasks, notes=(*source.notes, *said)))
    kept = [source for source in kept if source.tasks]
    return kept, notes


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")
