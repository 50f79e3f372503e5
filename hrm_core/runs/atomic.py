"""Room `runs`: files and folders that appear whole or not at all.

bytes -> a file: written under a temporary name in the same folder, fsynced, renamed, and the folder fsynced, so that
after kill -9 or lost power the name holds the old content or the new, never a part. Modes follow the user's umask.
Temporary names are `.<name>.tmp-<pid>-<letters>`, which `clean_leftovers` knows. What cannot be written because of the
disk is explained by `explain_os_error` for the end of a command. Rows that are appended are in `writer.py`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from hrm_core.errors import UserError
from hrm_core.runs.files import sealed
from hrm_core.runs.records import plain
from hrm_core.runs.text import clean

_TEMPORARY: Final = re.compile(r"\..+\.tmp-[0-9]+-[0-9a-f]{8}", re.DOTALL)
# A temporary name so old has no writer any more, in a folder where several processes may write.
ABANDONED_S: Final = 3600.0
_ASIDE: Final = re.compile(r"\.(?P<name>.+)\.old-[0-9]+-[0-9a-f]{8}", re.DOTALL)


def sibling(path: Path, word: str) -> Path:
    """A temporary name beside `path`, one that `is_leftover` knows for the words \"tmp\" and \"old\"."""
    # Names can be as long as the file system allows; the temporary one must not be longer.
    return path.with_name(f".{path.name[:160]}.{word}-{os.getpid()}-{secrets.token_hex(4)}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Inside, an OSError that names no file (as those of descriptors do), or a temporary one, names `path`."""
    try:
        yield
    except OSError as error:
        name = error.filename
        if name is None or (isinstance(name, (str, Path)) and any(map(is_leftover, Path(name).parts))):
            error.filename, error.filename2 = str(path), None
        raise


def write_all(descriptor: int, data: bytes) -> None:
    """All of `data`, in as many writes as it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """fsync of a folder, so that a rename in it outlives a power cut. Quiet where the file system refuses it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with naming(folder):
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """The folder, and its parents where they are missing, each with its name on the disk. OSError as of mkdir.

    A file that is synced in a new folder is lost with it when the power goes, if the folder's own name is not synced.
    """
    if folder.is_dir():
        return
    if not folder.parent.exists():  # where that is a file, mkdir says so
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Puts `data` at `path` atomically and durably. OSError on a full or read-only disk; the old content then stays."""
    with naming(path):
        _write_beside(path, data)
    sync_folder(path.parent)


def _write_beside(path: Path, data: bytes) -> None:
    temporary = sibling(path, "tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def open_append(path: Path) -> int:
    """A descriptor that appends to a regular file, made where there is none. OSError for anything else, a link too:
    a folder that came from elsewhere must not lead our output into another file."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return descriptor


def refuse_link(folder: Path) -> None:
    """OSError if `folder` is a link: what is written or deleted in it would be so elsewhere."""
    if folder.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))


def write_json(path: Path, value: Any, seal: bool = False) -> None:
    """Puts a value as indented JSON at `path`, atomically. Numbers that are not finite become null.

    With `seal` an object carries its own checksum, which `files.read_json_object` looks at and takes away.
    """
    text = json.dumps(plain(value), indent=2, allow_nan=False).encode("ascii") + b"\n"
    write_bytes(path, sealed(text) if seal else text)


def _sync_tree(folder: Path) -> None:
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            descriptor = os.open(Path(place) / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(place))


@contextmanager
def atomic_folder(final: Path, replace: bool = False) -> Iterator[Path]:
    """Gives a temporary folder beside `final`; on success it is fsynced and renamed, on any failure removed.

    FileExistsError if `final` is there already, unless `replace`: then the old one is moved aside first, and deleted
    last. A process killed between those two renames leaves it aside; `clean_leftovers` puts it back.
    """
    if not replace and os.path.lexists(final):
        raise FileExistsError(errno.EEXIST, "the folder is there already", str(final))
    make_folder(final.parent)
    with naming(final):
        yield from _folder_beside(final, replace)


def _folder_beside(final: Path, replace: bool) -> Iterator[Path]:
    temporary = sibling(final, "tmp")
    temporary.mkdir()
    aside: Path | None = None
    try:
        yield temporary
        _sync_tree(temporary)
        if replace and os.path.lexists(final):
            aside = sibling(final, "old")
            os.rename(final, aside)
        os.rename(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if aside is not None and not os.path.lexists(final):
            os.rename(aside, final)
        raise
    sync_folder(final.parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def is_leftover(name: str) -> bool:
    """Whether a file or folder name is one of our temporary ones."""
    return _TEMPORARY.fullmatch(name) is not None or _ASIDE.fullmatch(name) is not None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def clean_leftovers(folder: Path, older_than_s: float = 0.0) -> list[str]:
    """Removes what a killed writer left directly in `folder` (temporary names at least `older_than_s` old).

    Gives the names removed. A folder that was moved aside and has no successor goes back to its place. For the one
    writer of the folder: another process's write under way would be lost.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    removed = []
    for name in names:
        if not is_leftover(name):
            continue
        path = folder / name
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime < older_than_s:
                continue
        if not _put_back(path):
            _remove(path)
            removed.append(name)
    return removed


def _put_back(path: Path) -> bool:
    """Whether this was moved aside and has no successor, and is at its place again."""
    aside = _ASIDE.fullmatch(path.name)
    if aside is None or os.path.lexists(path.with_name(aside["name"])):
        return False
    with suppress(OSError):
        os.rename(path, path.with_name(aside["name"]))
        return True
    return False


def put_back_folders(folder: Path) -> None:
    """Puts back what a killed writer had moved aside and not replaced yet, and removes nothing: for a look at what is
    there, before its one writer begins."""
    with suppress(OSError):
        for name in os.listdir(folder):
            _put_back(folder / name)


def lack_of_space(folder: Path, needed_bytes: int) -> str:
    """What is needed and what is free, where the disk of `folder` has less; else empty. The folder need not exist yet.
    OSError if the disk cannot be asked."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if free >= needed_bytes:
        return ""
    return f"{needed_bytes / 2**20:.1f} MiB are needed and {free / 2**20:.1f} MiB are free"


def check_free_space(folder: Path, needed_bytes: int) -> None:
    """UserError (exit 1) if the disk of `folder` has fewer than `needed_bytes` free; the folder need not exist yet."""
    try:
        lack = lack_of_space(folder, needed_bytes)
    except OSError as error:
        raise explain_os_error(error) from error
    if lack:
        raise UserError(f"no space left for {clean(folder)}: {lack}; make room or choose another folder.", exit_code=1)


_REMEDIES: Final = {
    errno.ENOSPC: "no space is left on the disk; make room or choose another folder",
    errno.EDQUOT: "your disk quota is used up; make room or choose another folder",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EACCES: "you may not write or read there; change its permissions or choose another folder",
    errno.EPERM: "you may not write or read there; change its permissions or choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another folder",
    errno.EISDIR: "it is a folder, not a file; give a file",
    errno.ENOENT: "it does not exist; check the path",
    errno.EEXIST: "it exists already; choose another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "it is a link, or links go in a circle; give the place itself",
    errno.ENOLCK: "the file system has no locks; choose a folder on a local disk",
    errno.EIO: "the disk reports an error; copy what you can and check it",
    errno.EMFILE: "too many files are open; raise the limit with `ulimit -n`",
}


def explain_os_error(error: OSError) -> UserError:
    """The user's version of an OSError: the path, what is wrong and the remedy; exit code 1."""
    place = clean(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes, os.PathLike)) else "a file"
    known = _REMEDIES.get(error.errno or 0)
    reason = known if known is not None else f"{clean(error.strerror or error)}; check the disk and the path"
    return UserError(f"{place}: {reason}.", exit_code=1)
