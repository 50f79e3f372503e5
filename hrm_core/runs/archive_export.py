"""Room `runs`: a snapshot copied to a place of its own, to be kept or handed on.

Details -> a folder, or one .tar file, with weights (safetensors), recipe.toml, the evaluation and a README, complete or
not at all; every copied byte is checked against the sha256 that was written with the snapshot. The result is a snapshot
again: `hrm eval FOLDER` and `hrm run EXP --from FOLDER` take it. `SHA256SUMS` is for `sha256sum -c`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from hrm_core.errors import UserError
from hrm_core.runs.archive import EVALUATED_WEIGHTS, RAW_WEIGHTS, Entry, metric_names
from hrm_core.runs.archive_changes import TAKEN, described, seal, take_files
from hrm_core.runs.archive_details import Details
from hrm_core.runs.atomic import atomic_folder, check_free_space, explain_os_error, make_folder, sync_folder
from hrm_core.runs.files import integer, items, mapping, string
from hrm_core.runs.records import utc_now
from hrm_core.runs.snapshots import META_NAME, read_whole_meta
from hrm_core.runs.text import clean

README: Final = "README.txt"
SUMS: Final = "SHA256SUMS"
_ENDING: Final = ".tar"


def export_name(entry: Entry) -> str:
    """What an export of this entry is called where only a folder for it was given."""
    return entry.name.replace("@", "-")


def export_target(entry: Entry, place: Path) -> Path:
    """Where an export to `place` goes: into a folder that is there (and is no snapshot itself), else to that name."""
    return place / export_name(entry) if place.is_dir() and not (place / META_NAME).exists() else place


def export_snapshot(details: Details, place: Path) -> Path:
    """Copies a snapshot to `place` (see `export_target`), as one file where that ends with .tar; gives where it is.

    UserError (1): the place is taken, has no room or is not writable, or the snapshot is damaged. Nothing is left then.
    """
    entry = details.entry
    target = export_target(entry, place.expanduser())
    try:
        if os.path.lexists(target):
            raise UserError(f"{clean(target)} is there already; choose another place.", 1)
        make_folder(target.parent)
        size = sum(entry.bytes_of(name) or 0 for name in TAKEN)
        if target.suffix != _ENDING:
            check_free_space(target.parent, size + 2**20)
            with atomic_folder(target) as folder:
                _fill(folder, details)
            return target
        check_free_space(target.parent, 2 * size + 2**20)
        _export_tar(details, target)
    except OSError as error:
        raise explain_os_error(error) from error
    return target


def _fill(folder: Path, details: Details) -> None:
    snapshot = details.entry.folder
    run, step, provenance = described(snapshot)
    meta = take_files(snapshot, folder, link=False)
    (folder / README).write_text(readme(details), encoding="utf-8")
    sums = [f"{_sha256(folder / name)}  {name}\n" for name in sorted(os.listdir(folder))]
    (folder / SUMS).write_text("".join(sums), encoding="utf-8")
    exported = {"name": details.entry.name, "from": f"{run}@{step}", "time_utc": utc_now(), **provenance}
    seal(folder, snapshot, {**meta, "run_id": run}, {"promoted": exported})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _export_tar(details: Details, target: Path) -> None:
    """The folder, packed without compression (weights do not compress), then read back before it gets its name."""
    stem = f".{target.name[:100]}.tmp-{os.getpid()}-{secrets.token_hex(4)}"
    folder, packed = target.with_name(stem), target.with_name(f"{stem}{_ENDING}")
    folder.mkdir()
    try:
        _fill(folder, details)
        with packed.open("xb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for name in sorted(os.listdir(folder)):
                    tar.add(folder / name, f"{export_name(details.entry)}/{name}", filter=_anonymous)
            file.flush()
            os.fsync(file.fileno())
        _check_tar(packed, folder)
        os.rename(packed, target)
        sync_folder(target.parent)
    finally:
        with suppress(OSError):
            packed.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _check_tar(packed: Path, folder: Path) -> None:
    wanted = {name: string(row, "sha256") for name, row in mapping(read_whole_meta(folder), "files").items()}
    wanted[META_NAME] = _sha256(folder / META_NAME)
    with tarfile.open(packed) as tar:
        found = {member.name.rpartition("/")[2]: _digest_of(tar.extractfile(member)) for member in tar}
    if found != wanted:
        raise UserError(f"{clean(packed.parent)}: what was written does not read back as it should; check the disk.", 1)


def _digest_of(file: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while file is not None and (part := file.read(2**20)):
        digest.update(part)
    return digest.hexdigest()


def readme(details: Details) -> str:
    """What the snapshot is, in words, for whoever finds the folder."""
    entry, evaluation = details.entry, details.evaluation
    origin, parent = entry.origin, entry.origin.parent
    run, step, _ = described(entry.folder)
    lines = [
        f"Snapshot of run {run} at step {step}, exported {utc_now()[:10]}.",
        "",
        f"Experiment {origin.experiment or 'unknown'}, preset {origin.preset or 'unknown'}, seed {origin.seed}.",
    ]
    if parent is not None:
        lines.append(f"Its run began from the weights of {parent.run} at step {parent.step} (sha256 {parent.digest}).")
    lines += ["", *_metric_lines(details), "", f"Settings that differ from {details.control}:"]
    lines += [f"  {key} = {own} (there {control})" for key, control, own in details.changes] or ["  none"]
    lines += [
        "",
        f"{EVALUATED_WEIGHTS}: the weights that were evaluated ({string(evaluation, 'weights', 20) or 'no name'}).",
        f"{RAW_WEIGHTS}: the weights that training would go on with.",
        f"recipe.toml, tasks.json: what they need to be used; {META_NAME}: sha256 and size of every file.",
        f"Check with `sha256sum -c {SUMS}`; use with `hrm eval FOLDER` or `hrm run EXPERIMENT --from FOLDER`.",
    ]
    return "\n".join(clean(line) for line in lines) + "\n"


def _metric_lines(details: Details) -> Sequence[str]:
    entry, row = details.entry, details.evaluation
    names = metric_names([entry])
    if not names:
        return ["No evaluation is kept with it."]
    head = f"{integer(row, 'pairs')} {string(row, 'split', 20)} tests of {integer(row, 'tasks')} tasks, in percent:"
    lines = [head, f"  {'metric':<24}{'model':>8}{'trivial':>9}"]
    for name in names:
        value, trivial = entry.metric(name), entry.trivial(name)
        shown = "-" if value is None else f"{100 * value:.1f}"
        beside = "-" if trivial is None else f"{100 * trivial[1]:.1f}"
        lines.append(f"  {name:<24}{shown:>8}{beside:>9}" + ("" if trivial is None else f"  ({trivial[0]})"))
    return [*lines, *(f"  note: {note}" for note in items(row, "notes")[:20] if isinstance(note, str))]
