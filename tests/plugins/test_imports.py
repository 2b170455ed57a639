"""What Hydra imports in every application of the same environment."""

import ast
from pathlib import Path

import zeroinit

PLUGINS = Path(zeroinit.__file__).parents[1] / "hydra_plugins" / "zeroinit"


def imported_names(node: ast.stmt) -> set[str]:
    """Return the full names that an import statement imports; none of another statement."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set()


def test_listing_the_plugins_imports_no_torch() -> None:
    for path in PLUGINS.glob("*.py"):
        names = set().union(*map(imported_names, ast.parse(path.read_text()).body))
        assert not {name for name in names if name.startswith("zeroinit.")} - {"zeroinit.CONF", "zeroinit.SWEEPS"}
        assert "torch" not in names
