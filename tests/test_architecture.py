"""The import rules, read off the source, and what a cheap import may load, seen in a process of its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGES = ("audit", "scenarios", "reports")
SHARED = {"audit.records", "audit.errors"}
HEAVY = ("torch", "transformers", "vllm", "inspect_scout", "sklearn", "scipy", "pandas", "pyarrow", "matplotlib")


def folder_of(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        root = folder_of(package)
        for file in sorted(root.rglob("*.py")):
            parts = (package, *file.relative_to(root).with_suffix("").parts)
            yield ".".join(parts).removesuffix(".__init__"), file


def imported(name: str, source: str, is_package: bool, everywhere: bool = True) -> set[str]:
    """Modules that a source imports, with the names taken from them; ``everywhere`` includes imports inside functions."""
    tree = ast.parse(source)
    nodes: list[ast.AST] = list(ast.walk(tree)) if everywhere else at_import(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if is_package else name.split(".")[:-1]
                kept = package[: len(package) - node.level + 1]
                base = ".".join([*kept, *([node.module] if node.module else [])])
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def at_import(tree: ast.Module) -> list[ast.AST]:
    """The statements that run when a module is imported: no function bodies, nothing for type checkers only."""
    found: list[ast.AST] = []
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending += node.orelse
            continue
        found.append(node)
        pending += list(ast.iter_child_nodes(node))
    return found


def imports_of(name: str, file: Path, everywhere: bool = True) -> set[str]:
    return imported(name, file.read_text(encoding="utf-8"), file.name == "__init__.py", everywhere)


def inside(target: str, package: str) -> bool:
    return target == package or target.startswith(package + ".")


def violations(name: str, targets: set[str]) -> list[str]:
    """What a module imports and must not."""
    found = []
    for target in sorted(targets):
        allowed = SHARED | ({"audit.lab.world"} if inside(name, "scenarios") else set())
        if name.split(".")[0] in ("scenarios", "reports"):
            other = "reports" if inside(name, "scenarios") else "scenarios"
            if inside(target, other) or (inside(target, "audit") and not any(inside(target, part) for part in allowed)):
                found.append(f"{name} imports {target}")
        elif not inside(name, "audit.cli") and (inside(target, "scenarios") or inside(target, "reports")):
            found.append(f"{name} imports {target}")
        if inside(name, "audit.engines") and inside(target, "audit.scanners"):
            found.append(f"{name} imports {target}")
        if inside(name, "audit.scanners") and (inside(target, "torch") or inside(target, "audit.target") or inside(target, "audit.nla")):
            found.append(f"{name} imports {target}")
        if inside(name, "audit.pipeline") and inside(target, "audit.stages"):
            found.append(f"{name} imports {target}")
    return found


def test_every_module_keeps_the_import_rules() -> None:
    seen = 0
    broken = []
    for name, file in modules():
        seen += 1
        broken += violations(name, imports_of(name, file))
    assert seen > 40, "the packages were not found"
    assert not broken, "\n".join(broken)


def test_the_labs_world_needs_the_standard_library_only() -> None:
    files = dict(modules())
    pending, done = ["audit.lab.world"], set()
    while pending:
        name = pending.pop()
        if name in done or name not in files:
            continue
        done.add(name)
        for target in imports_of(name, files[name]):
            top = target.split(".")[0]
            if top == "audit":
                pending += [target, target.rpartition(".")[0]]
            else:
                assert top in sys.stdlib_module_names, f"{name} imports {target}"
    assert "audit.lab.signs" in done


@pytest.mark.parametrize("forbidden", ["pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"])
def test_nothing_reads_pickles(forbidden: str) -> None:
    for name, file in modules():
        assert not any(inside(target, forbidden) for target in imports_of(name, file)), name
        assert "torch.load(" not in file.read_text(encoding="utf-8"), name


def test_the_rules_find_what_breaks_them() -> None:
    assert violations("scenarios.x", imported("scenarios.x", "from audit.pipeline import Stage", False))
    assert violations("reports.x", imported("reports.x", "def f():\n    import audit.store", False))
    assert violations("audit.stages.x", imported("audit.stages.x", "import scenarios", False))
    assert violations("audit.engines.x", imported("audit.engines.x", "from ..scanners import base", False))
    assert violations("audit.scanners.x", imported("audit.scanners.x", "import torch.nn", False))
    assert not violations("scenarios.x", imported("scenarios.x", "from audit.lab.world import scenario_samples", False))
    assert not violations("audit.cli.x", imported("audit.cli.x", "import scenarios.catalogue", False))


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a process has loaded after running some code."""
    report = f"{code}\nimport sys\nprint('\\n'.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    loaded = loaded_by(f"import {package}")
    assert package in loaded
    assert not loaded & set(HEAVY)


def help_of(*arguments: str) -> str:
    """Code that asks for help on the command line and goes on."""
    return (
        f"import sys\nfrom audit.cli import main\nsys.argv = ['nla-audit', *{list(arguments)!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert stop.code == 0"
    )


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by(help_of())
    assert "click" in loaded
    assert not loaded & {*HEAVY, "inspect_ai", "numpy", "pydantic"}


@pytest.mark.slow
def test_the_help_of_every_command_loads_no_torch() -> None:
    from audit.cli import COMMANDS

    for name in COMMANDS:
        assert not loaded_by(help_of(name)) & {"torch", "transformers", "vllm", "inspect_ai"}, name
