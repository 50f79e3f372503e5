"""The source against the house style: sizes, docstrings, annotations, final classes, and what must not be there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hrm_core", "hrm_console", "triton_kernels")
MAX_FILE = 400
MAX_FUNCTION = 60
MAX_KERNEL = 120

SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef
ABSTRACT = {"ABC", "Protocol"}
RECORDS = {"NamedTuple", "TypedDict", "Enum", "IntEnum", "StrEnum", "IntFlag"}  # nobody derives from them


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=name_of)
def test_sizes(path: Path) -> None:
    """A file fits a head, a function a screen; a kernel, which cannot be cut, two."""
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_FILE, f"{lines} lines"
    limit = MAX_KERNEL if path.name == "kernel.py" else MAX_FUNCTION
    for node in ast.walk(tree_of(path)):
        if isinstance(node, Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= limit, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=name_of)
def test_a_module_says_what_it_is(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), "no docstring"
    if any(isinstance(node, Function | ast.ClassDef | ast.AnnAssign) for node in tree.body):
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
        assert imports, "no `from __future__ import annotations`"


def is_final_or_abstract(node: ast.ClassDef) -> bool:
    decorators = {ast.unparse(decorator).split("(")[0].rpartition(".")[2] for decorator in node.decorator_list}
    bases = {ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases}
    said = (ast.get_docstring(node) or "").startswith("Abstract")
    return "final" in decorators or said or bool(bases & (ABSTRACT | RECORDS))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_class_is_final_or_abstract(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef):
            assert is_final_or_abstract(node), f"class {node.name}"


BANNED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|\bNotImplementedError\b")
SKIPS = re.compile(r"pytest\.(?:skip|xfail)\(|mark\.(?:skip|skipif|xfail)\b|importorskip")
UNSAFE = re.compile(
    r"weights_only\s*=\s*False|allow_pickle\s*=\s*True|shell\s*=\s*True|\bos\.system\(|\bpickle\.loads?\("
)


@pytest.mark.parametrize("path", [path for path in SOURCES + TESTS if path != Path(__file__).resolve()], ids=name_of)
def test_nothing_is_left_undone_or_unsafe(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for pattern in (BANNED, SKIPS):
        found = pattern.search(text)
        assert found is None, f"line {text[: found.start()].count(chr(10)) + 1}: {found.group()}" if found else ""
    if path in SOURCES:
        assert UNSAFE.search(text) is None


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in TESTS if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


def test_the_files_to_begin_with_exist() -> None:
    """A renamed file would be begun last, and one process wait for it."""
    tree = tree_of(ROOT / "tests/conftest.py")
    (listed,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LONGEST"
    ]
    assert len(listed) > 10 and set(listed) <= {path.stem for path in TESTS}
