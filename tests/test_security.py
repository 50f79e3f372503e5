"""The source against what would let a file or a name in: every way to run code or a shell from data, by its own name.

Ruff's S rules say the same of most of it; here it holds without ruff, and for what ruff has no rule for: torch.load
without weights_only, numpy's allow_pickle, torch.distributed.checkpoint, os.environ copied whole into a file.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path for place in ("hrm_core", "hrm_console", "triton_kernels", "scripts") for path in (ROOT / place).rglob("*.py")
)
# Modules whose loading runs what a file says, or whose use is a shell.
MODULES = {
    "pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "jsonpickle", "yaml", "dbm",
    "commands", "pty", "telnetlib", "xmlrpc", "torch.distributed.checkpoint", "torch.jit", "torch.package", "code",
}  # fmt: skip
MADE_FOR = {
    "hrm_core/benchmarks/console_terminal.py": {"pty"},  # a terminal for the console that is measured
    "hrm_core/interchange/published_files.py": {"yaml"},  # safe_load alone, of published settings
}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execl", "os.execle", "os.execlp", "os.spawnl",
    "os.spawnv", "os.spawnvp", "subprocess.getoutput", "subprocess.getstatusoutput", "torch.hub.load", "np.fromregex",
    "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.full_load_all", "yaml.unsafe_load_all",
    "asyncio.create_subprocess_shell", "tempfile.mktemp", "torch.jit.load", "torch.package.PackageImporter",
}  # fmt: skip
SPAWNING = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call", "subprocess.check_output"}


def full_names(tree: ast.AST) -> dict[str, str]:
    """Local name -> what it was imported as: `np` -> numpy, `load` -> torch.load."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def called(node: ast.Call, names: dict[str, str]) -> str:
    """Full dotted name of what a call calls; "" if it is no name."""
    text = ast.unparse(node.func)
    if re.fullmatch(r"[\w.]+", text) is None:
        return ""
    head, dot, rest = text.partition(".")
    return names.get(head, head) + dot + rest


def imported(tree: ast.AST) -> set[str]:
    """Modules that are imported, with their parents."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found | {name.partition(".")[0] for name in found}


def faults(text: str, allowed: frozenset[str] = frozenset()) -> list[str]:
    """What must not be in a source, a phrase each."""
    tree = ast.parse(text)
    names = full_names(tree)
    found = [f"imports {name}" for name in sorted(imported(tree) & MODULES - allowed)]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, words = called(node, names), {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in CALLS or name.removeprefix("builtins.") in {"eval", "exec"}:
            found.append(f"calls {name}")
        if name == "torch.load" and words.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if words.get("allow_pickle", "False") != "False":
            found.append("allow_pickle")
        if name in ("numpy.load", "numpy.memmap") and name == "numpy.load" and words.get("allow_pickle") != "False":
            found.append("numpy.load without allow_pickle=False")
        if words.get("shell", "False") != "False":
            found.append("a shell")
        if name in SPAWNING and node.args and isinstance(node.args[0], ast.Constant | ast.JoinedStr):
            found.append(f"{name} of a text instead of a list")
        if name in ("tarfile.extractall", "zipfile.extractall") or name.endswith(".extractall"):
            found.append("unpacks an archive by its own names")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_here_runs_what_a_file_says(path: Path) -> None:
    allowed = frozenset(MADE_FOR.get(str(path.relative_to(ROOT)), set()))
    assert faults(path.read_text(encoding="utf-8"), allowed) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "import marshal as m",
        "import torch.distributed.checkpoint as dcp",
        "from torch.distributed import checkpoint",
        "import torch\ntorch.load('a')",
        "import torch\ntorch.load('a', weights_only=False)",
        "from torch import load\nload('a')",
        "import numpy as np\nnp.load('a')",
        "import numpy as np\nnp.load('a', allow_pickle=True)",
        "import numpy as np\nnp.save('a', b, allow_pickle=True)",
        "import subprocess\nsubprocess.run(['a'], shell=True)",
        "import subprocess\nsubprocess.run('a b')",
        "import subprocess as s\ns.Popen(f'a {b}')",
        "import os\nos.system('a')",
        "from os import popen\npopen('a')",
        "eval('1')",
        "import builtins\nbuiltins.exec('1')",
        "tar.extractall('a')",
        "import shelve",
        "from joblib import load",
    ],
)
def test_what_is_looked_for_is_found(text: str) -> None:
    assert faults(text) != []


def test_what_is_harmless_is_not() -> None:
    assert faults("import torch, subprocess, re\ntorch.load('a', weights_only=True)\nre.compile('a')") == []
    assert faults("import subprocess\nsubprocess.run(['a', 'b'])\nmodel.eval()") == []


def test_ruff_holds_the_rules_that_it_has() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for rule in (
        "S102",
        "S301",
        "S302",
        "S306",
        "S307",
        "S506",
        "S602",
        "S604",
        "S605",
        "S609",
    ):
        assert f'"{rule}"' in text, rule
