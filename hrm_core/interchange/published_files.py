"""Files of a published HRM or TRM checkpoint, read within bounds: tensors, settings, names of identity rows.

Interchange room. FILE or FOLDER -> PublishedFiles, or a UserError in a line. A state dict is a pickle: it is loaded
with `weights_only=True` alone, which makes tensors and plain containers and runs nothing (PyTorch >= 2.10 is required
for that; CVE-2025-32434, CVE-2026-24747). What a file declares beyond its own size is refused before it is allocated.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
import yaml
from torch import Tensor

from hrm_core.errors import UserError
from hrm_core.runs.files import read_named
from hrm_core.runs.text import clean
from hrm_core.training.checkpoint import load_tensors

CONFIG: Final = "all_config.yaml"
MAX_CONFIG_BYTES: Final = 2**20
MAX_NAMES_BYTES: Final = 256 * 2**20
_DEEPEST: Final = 20
_STEP: Final = re.compile(r"step_([0-9]{1,12})(?:\.(?:pt|pth|safetensors))?", re.ASCII)
_USUAL: Final = ("checkpoint", "checkpoint.pt", "checkpoint.pth", "model.pt", "model.pth", "model.safetensors")


@final
@dataclass(frozen=True)
class PublishedFiles:
    """A state dict as it was stored, what the `arch` part of its settings says (empty without settings), and its file.

    step: from a name such as step_518071, else 0.
    """

    path: Path
    tensors: dict[str, Tensor]
    arch: dict[str, Any]
    config: Path | None
    sha256: str
    step: int


def read_published(given: Path) -> PublishedFiles:
    """Reads FILE, or the one checkpoint in FOLDER (of several step_N the last), and all_config.yaml beside it."""
    path = _checkpoint_in(given) if given.is_dir() else given
    if not path.is_file():
        raise UserError(f"{clean(path)}: there is no such file; give a state dict, or the folder that it lies in")
    tensors = load_tensors(path) if path.suffix == ".safetensors" else _load_pickle(path)
    config = path.parent / CONFIG
    found = config if config.is_file() else None
    step = _STEP.fullmatch(path.name)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    arch = {} if found is None else read_arch(found)
    return PublishedFiles(path, tensors, arch, found, digest, int(step[1]) if step else 0)


def _checkpoint_in(folder: Path) -> Path:
    steps = sorted((int(match[1]), path) for path in folder.iterdir() if (match := _STEP.fullmatch(path.name)))
    if steps:
        return steps[-1][1]
    for name in _USUAL:
        if (folder / name).is_file():
            return folder / name
    others = [path for path in sorted(folder.iterdir()) if path.suffix in (".pt", ".pth", ".safetensors")]
    if len(others) == 1:
        return others[0]
    what = "no checkpoint" if not others else f"{len(others)} checkpoints"
    raise UserError(f"{clean(folder)} holds {what} (step_N, checkpoint, *.pt, *.safetensors); give the file itself")


def _load_pickle(path: Path) -> dict[str, Tensor]:
    """UserError (1) for whatever is no plain state dict; nothing in it is run."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler gives up in a dozen ways, and so does the archive around it
        first = clean(str(error)).split(". ")[0][:160]
        raise UserError(
            f"{clean(path)} cannot be loaded without running code that it brings ({first}).\n"
            "Load it where you trust it and save its state_dict() alone, or as safetensors.",
            1,
        ) from None
    if isinstance(stored, dict) and isinstance(stored.get("state_dict"), dict):
        stored = stored["state_dict"]
    if not isinstance(stored, dict) or not all(isinstance(name, str) for name in stored):
        raise UserError(f"{clean(path)} holds a {type(stored).__name__}, not a state dict of names and tensors.", 1)
    return {name: _plain(path, name, value) for name, value in stored.items()}


def _plain(path: Path, name: str, value: object) -> Tensor:
    """The tensor, dense and of a floating type. A view may declare any shape over one number: it is not unfolded."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        raise UserError(f"{clean(path)}: {clean(name)[:80]} is no plain tensor but {type(value).__name__}.", 1)
    if value.device.type != "cpu" or value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise UserError(f"{clean(path)}: {clean(name)[:80]} declares more numbers than are stored.", 1)
    return value


def _refuse_unfolding(text: str) -> None:
    """Ten lines of aliases unfold to gigabytes, and brackets to a deep recursion."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has aliases")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")


def read_arch(path: Path) -> dict[str, Any]:
    """The `arch` part of an all_config.yaml. UserError (1) if it is not what the published trainers write."""
    try:
        text = read_named(path, MAX_CONFIG_BYTES).decode("utf-8")
        _refuse_unfolding(text)
        value = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{clean(path)} is not readable as YAML ({clean(str(error))[:100]}).", 1) from None
    arch = value.get("arch") if isinstance(value, dict) else None
    if not isinstance(arch, dict) or not all(isinstance(name, str) for name in arch):
        raise UserError(f"{clean(path)} has no `arch`, the settings of the model; remove it, and use --set.", 1)
    return arch


def read_identifiers(path: Path, rows: int) -> tuple[str, ...]:
    """The name of each identity row, from the data set's identifiers.json. UserError (1) unless there are `rows`."""
    try:
        names = json.loads(read_named(path, MAX_NAMES_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{clean(path)} is not readable as JSON ({clean(str(error))[:100]}).", 1) from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{clean(path)} is not a list of names; give the data set's identifiers.json.", 1)
    if len(names) != rows or len(set(names)) != rows:
        raise UserError(
            f"{clean(path)} has {len(set(names))} names, the checkpoint {rows} identity rows; "
            "give the identifiers.json of the data that it was trained on.",
            1,
        )
    return tuple(names)
