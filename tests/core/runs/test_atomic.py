"""Files and folders written atomically against a disk that fails at any call, and against what was there before."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hrm_core.errors import UserError
from hrm_core.runs import atomic

CALLS = ("open", "write", "fsync", "replace", "rename", "mkdir")


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Makes the `number`-th call to the disk raise ENOSPC."""
    count = 0

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **more)

        return called

    for name in CALLS:
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))


def test_a_file_is_old_or_new_whichever_call_fails(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    for number in range(1, 20):
        path.write_bytes(b"old")
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, number)
            try:
                atomic.write_bytes(path, b"new")
                failed = False
            except OSError:
                failed = True
        assert path.read_bytes() in ((b"old", b"new") if failed else (b"new",))
        assert os.listdir(tmp_path) == ["status.json"]
        if not failed:
            break
    assert not failed
    assert number == 7  # open, write, fsync, replace, open and fsync of the folder, and none


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_is_whole_or_absent_whichever_call_fails(tmp_path: Path, there: bool) -> None:
    # The first call makes the parent, which is there: that failure does not matter.
    for number in range(2, 40):
        final = tmp_path / f"try-{number}" / "step-00000010"
        final.parent.mkdir()
        if there:
            final.mkdir()
            (final / "weights").write_bytes(b"old")
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, number)
            try:
                with atomic.atomic_folder(final, replace=True) as folder:
                    (folder / "weights").write_bytes(b"new")
                failed = False
            except OSError:
                failed = True
        if final.exists():
            assert (final / "weights").read_bytes() in ((b"old", b"new") if failed and there else (b"new",))
        else:
            assert failed
            assert not there
        others = [name for name in os.listdir(final.parent) if name != final.name]
        # Only what fails after the rename can leave the old one aside; the next `clean_leftovers` takes it.
        assert not others or (there and (final / "weights").read_bytes() == b"new")
        atomic.clean_leftovers(final.parent)
        assert os.listdir(final.parent) == ([final.name] if final.exists() else [])
        if not failed and not others:
            break
    assert not failed
    assert number > 4


def test_an_error_inside_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic.atomic_folder(tmp_path / "x") as folder:
        (folder / "a").write_text("a")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(FileExistsError), atomic.atomic_folder(tmp_path / "x"):
        raise AssertionError("entered")
    assert os.listdir(tmp_path) == ["x"]


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write_json(tmp_path / "a.json", {"x": float("nan")})
        with atomic.atomic_folder(tmp_path / "b"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "a.json").read_text() == '{\n  "x": null\n}\n'


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("old")
    (tmp_path / "a").symlink_to(tmp_path / "secret")
    atomic.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "secret").read_text() == "old"
    assert not (tmp_path / "a").is_symlink()


def test_the_order_is_file_then_name_then_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name: (order.append(name), real(*a))[1])
    atomic.write_bytes(tmp_path / "a", b"x")
    assert order == ["fsync", "replace", "fsync"]


def test_leftovers_go_and_everything_else_stays(tmp_path: Path) -> None:
    (tmp_path / ".a.json.tmp-12-0123abcd").write_text("x")
    (tmp_path / ".step-1.tmp-12-0123abcd").mkdir()
    (tmp_path / ".step-2.old-12-0123abcd").mkdir()
    (tmp_path / ".step-3.old-12-0123abcd").mkdir()
    for name in ("a.json", ".tmp", ".hidden.tmp-1-xyz", "b.tmp-12-0123abcd", "step-3"):
        (tmp_path / name).mkdir()
    assert atomic.clean_leftovers(tmp_path, older_than_s=60) == []
    removed = atomic.clean_leftovers(tmp_path)
    assert removed == [".a.json.tmp-12-0123abcd", ".step-1.tmp-12-0123abcd", ".step-3.old-12-0123abcd"]
    left = sorted(os.listdir(tmp_path))
    assert left == [".hidden.tmp-1-xyz", ".tmp", "a.json", "b.tmp-12-0123abcd", "step-2", "step-3"]
    assert atomic.clean_leftovers(tmp_path / "none") == []


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path) -> None:
    atomic.check_free_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(UserError, match=r"no space left .* MiB are needed") as caught:
        atomic.check_free_space(tmp_path, 2**60)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.ESTALE])
def test_errors_of_the_disk_name_the_path_and_a_remedy(number: int) -> None:
    error = atomic.explain_os_error(OSError(number, os.strerror(number), "/some/\x1b[2Jplace"))
    assert error.exit_code == 1
    assert error.message.startswith("/some/␛[2Jplace: ")
    assert error.message.endswith(".")
    assert atomic.explain_os_error(OSError("odd")).message.startswith("a file: odd")


def test_a_new_folder_has_its_name_on_the_disk_and_so_have_new_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    atomic.make_folder(tmp_path / "runs" / "one")
    assert (tmp_path / "runs" / "one").is_dir()
    assert synced == [str(tmp_path), str(tmp_path / "runs")]
    atomic.make_folder(tmp_path / "runs" / "one")
    assert len(synced) == 2
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError):
        atomic.make_folder(tmp_path / "file")


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_an_error_of_a_descriptor_or_a_temporary_name_names_the_file_or_folder_that_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fails(*arguments: Any, **more: Any) -> Any:
        name = arguments[0] if call in ("open", "replace") else None
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *([str(name)] if name is not None else []))

    path, final = tmp_path / "status.json", tmp_path / "step-00000010"
    monkeypatch.setattr(os, call, fails)
    with pytest.raises(OSError) as caught:
        atomic.write_bytes(path, b"new")
    assert caught.value.filename == str(path) and caught.value.filename2 is None
    assert str(atomic.explain_os_error(caught.value)).startswith(f"{path}: no space")
    with pytest.raises(OSError) as caught, atomic.atomic_folder(final) as folder:
        atomic.write_bytes(folder / "weights", b"new")
    assert caught.value.filename == str(final)
