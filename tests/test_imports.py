"""Imports against the rooms' contract: what is free of torch stays so, and importing a module does nothing else.

Each claim is checked in a fresh interpreter by looking into `sys.modules`, or in the source by its syntax tree.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hrm_core", "hrm_console", "triton_kernels")
NUMERIC = ("torch", "numpy", "h5py", "scipy", "triton", "safetensors")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules(*folders: str) -> list[str]:
    return [module_name(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def loaded(imports: list[str], watched: tuple[str, ...]) -> str:
    """Which of the watched modules a fresh interpreter has after these imports."""
    code = f"import sys\nfor name in {imports!r}: __import__(name)\nprint([n for n in {watched!r} if n in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_recipes_and_run_folders_are_free_of_torch() -> None:
    names = [*modules("hrm_core/recipe", "hrm_core/runs"), "hrm_core.errors"]
    assert loaded(names, (*NUMERIC, "textual", "rich", "click")) == "[]"


def test_training_starts_without_scipy() -> None:
    """It takes more than a second of every command that trains or goes on; objects and verdicts import it."""
    assert loaded(["hrm_core.training.session"], ("scipy",)) == "[]"


def test_the_console_is_free_of_torch_and_starts_without_recipes() -> None:
    assert loaded(["hrm_console.app"], (*NUMERIC, "plotext", "pydantic", "hrm_core.recipe.schema")) == "[]"


def test_the_whole_console_is_free_of_torch() -> None:
    names = [name for name in modules("hrm_console") if not name.endswith("__main__")]
    assert loaded(names, (*NUMERIC, "hrm_core.training", "hrm_core.data")) == "[]"


def test_packages_on_the_way_hold_a_docstring_only() -> None:
    for room in ("", "recipe", "runs", "cli"):
        path = ROOT / "hrm_core" / room / "__init__.py"
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1, path
        assert isinstance(body[0], ast.Expr), path


def test_datasets_is_no_package() -> None:
    """A package of that name would hide the well-known one on the index."""
    assert not list((ROOT / "datasets").rglob("__init__.py"))
    assert not list((ROOT / "tests").rglob("__init__.py"))


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported: not the bodies of functions."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("__name__ == '__main__'", "TYPE_CHECKING"):
            continue
        yield child
        yield from at_import(child)


EFFECTS = {"environ", "getenv", "manual_seed", "seed", "basicConfig", "getLogger", "is_available", "set_num_threads"}
EFFECTS |= {"use_deterministic_algorithms", "set_default_dtype", "set_default_device", "cuda", "getcwd", "cwd"}


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_does_nothing_but_define(package: str) -> None:
    """No module logs, seeds, probes a device or reads the environment when it is imported."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in at_import(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in EFFECTS, f"{path.relative_to(ROOT)}:{node.lineno} uses {node.attr} at import"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "open"), f"{path.relative_to(ROOT)}:{node.lineno}"


def test_import_contracts_hold() -> None:
    """The layers of pyproject.toml, kept by import-linter."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
