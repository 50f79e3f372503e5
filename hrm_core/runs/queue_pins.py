"""Room `runs`: which code and which recipe an entry of the queue was made for, and what is different now.

checkout and installed packages -> `Code`; experiment and overrides -> `Pins`; pins and today's -> sentences. What
computes counts: the packages `hrm_core` and `triton_kernels`; a changed console or page changes no run. git is asked
without a shell and without its locks; outside a checkout the versions alone speak.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hrm_core.errors import UserError
from hrm_core.runs.queue_records import Code, Pins

if TYPE_CHECKING:
    from hrm_core.recipe.schema import Recipe

PACKAGES: Final = ("hrm_core", "triton_kernels")
ROOT: Final = Path(__file__).resolve().parents[2]
_COMMIT: Final = re.compile(r"[0-9a-f]{4,64}", re.ASCII)
_GIT_S: Final = 20.0
_MOST_NAMED: Final = 3


def _git(root: Path, *words: str) -> bytes | None:
    """What git says, None if it says that it cannot."""
    argv = ["git", "-C", str(root), "-c", "core.quotepath=off", "-c", "core.fsmonitor=false", *words]
    # A git hook, say, sets variables that would point to another checkout.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_S,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _dirty(root: Path) -> str | None:
    """Digest of the difference from the commit and of files that git does not know; empty if there is none."""
    there = [name for name in PACKAGES if (root / name).is_dir()]
    changed = _git(root, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--", *there)
    strange = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *there)
    if changed is None or strange is None:
        return None
    if not changed and not strange:
        return ""
    digest = hashlib.sha256(changed)
    for name in sorted(strange.split(b"\0")):
        digest.update(b"\0" + name)
        path = root / os.fsdecode(name)
        if name and path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def code_now(root: Path = ROOT) -> Code:
    """The code that a run started now would be of. A few git commands, some 20 ms."""
    commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    return Code(
        commit=None if commit is None else commit.decode("ascii", "replace").strip(),
        dirty=None if commit is None else _dirty(root),
        version=_version("hrm-console"),
        torch=_version("torch"),
    )


def pins_now(experiment: str, overrides: Sequence[str], code: Code | None = None) -> Pins:
    """The pins of an entry made now. UserError for an experiment or override that is none."""
    from hrm_core.recipe.digest import recipe_hash
    from hrm_core.recipe.lay import build_recipe
    from hrm_core.recipe.toml_io import to_toml

    recipe = build_recipe(experiment, list(overrides)).recipe
    return Pins(recipe_hash(recipe), to_toml(recipe), code_now() if code is None else code)


def code_differences(then: Code, now: Code, root: Path = ROOT) -> list[str]:
    """What is different about the code, a phrase each; empty if nothing is."""
    found = []
    if then.commit != now.commit:
        found.append(
            f"the commit was {_short(then.commit)} and is {_short(now.commit)}{_touched(root, then.commit, now.commit)}"
        )
    if then.dirty != now.dirty:
        words = {None: "no checkout", "": "no changes"}
        was, is_now = words.get(then.dirty, then.dirty), words.get(now.dirty, now.dirty)
        found.append(f"changes that are not committed: was {was}, is {is_now}")
    if then.version != now.version:
        found.append(f"hrm-console was {then.version} and is {now.version}")
    if then.torch != now.torch:
        found.append(f"torch was {then.torch} and is {now.torch}")
    return found


def _short(commit: str | None) -> str:
    return "no checkout" if commit is None else commit[:8]


def _touched(root: Path, then: str | None, now: str | None) -> str:
    """How much of what computes lies between two commits, in brackets; nothing where git does not know both."""
    if then is None or now is None or _COMMIT.fullmatch(then) is None:
        return ""
    said = _git(root, "diff", "--name-only", "--no-ext-diff", f"{then}..{now}", "--", *PACKAGES)
    if said is None:
        return ""
    count = len(said.splitlines())
    return f" ({count} file{'s' * (count != 1)} of what computes)" if count else " (nothing of what computes)"


def recipe_differences(pins: Pins, experiment: str, overrides: Sequence[str]) -> list[str]:
    """What is different about the recipe, a phrase each. What is no recipe any more is a difference."""
    from hrm_core.recipe.difference import difference
    from hrm_core.recipe.digest import recipe_hash
    from hrm_core.recipe.lay import build_recipe
    from hrm_core.recipe.toml_io import from_toml

    try:
        now = build_recipe(experiment, list(overrides)).recipe
    except UserError as error:
        return [f"the recipe is refused now: {error.message}"]
    if recipe_hash(now) == pins.recipe_hash:
        return []
    try:
        then: Recipe = from_toml(pins.recipe_toml)
    except UserError as error:
        return [f"the pinned recipe cannot be read any more: {error.message}"]
    changes = [f"{key} was {was} and is {is_now}" for key, (was, is_now) in difference(then, now).items()]
    more = f" and {len(changes) - _MOST_NAMED} more" if len(changes) > _MOST_NAMED else ""
    return ["recipe: " + ", ".join(changes[:_MOST_NAMED]) + more] if changes else ["the recipe's hash is another one"]
