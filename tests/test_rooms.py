"""Imports point downwards only: the order of the rooms is the architecture, and this holds it."""

import ast
from pathlib import Path

import hatcat

SOURCE = Path(hatcat.__file__).parent

# What each room may import, beside itself and what belongs to no room (settings, errors).
MAY_IMPORT = {
    "concepts": set(),
    "engines": set(),
    "lenses": {"engines.base", "concepts"},
    "monitor": {"engines", "lenses", "concepts"},
    "runtime": {"monitor", "engines", "lenses", "concepts"},
    "evals": {"monitor", "engines", "lenses", "concepts"},
    "server": {"runtime", "monitor.load", "monitor.job", "concepts"},
    "cli": {"server", "runtime", "evals", "monitor", "engines", "lenses", "concepts"},
}


def imports(path: Path) -> set[str]:
    """Modules below ``hatcat`` that a file imports, as ``room.module``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            modules = {alias.name for alias in node.names}
        else:
            continue
        found |= {module.removeprefix("hatcat.") for module in modules if module.startswith("hatcat.")}
    return {module for module in found if (SOURCE / module.split(".")[0]).is_dir()}


def test_every_room_is_listed() -> None:
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)


def test_imports_point_downwards() -> None:
    wrong = []
    for room, allowed in MAY_IMPORT.items():
        for path in sorted((SOURCE / room).rglob("*.py")):
            for module in imports(path):
                names = {module, module.split(".")[0], ".".join(module.split(".")[:2])}
                if (
                    module.split(".")[0] != room
                    and not names & allowed
                    and not any(a.startswith(module + ".") for a in allowed)
                ):
                    wrong.append(f"{path.relative_to(SOURCE)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_no_file_is_crowded() -> None:
    long = {p.name: n for p in SOURCE.rglob("*.py") if (n := len(p.read_text().splitlines())) > 400}
    assert not long, f"files over 400 lines hold more than one idea: {long}"
