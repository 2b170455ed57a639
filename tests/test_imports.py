"""Imports run one way, downwards, and only the files named here know Hydra, MLflow, matplotlib and torchvision."""

import ast
from pathlib import Path

import pytest

import zeroinit

PACKAGE = Path(zeroinit.__file__).parent
PLUGINS = PACKAGE.parent / "hydra_plugins" / "zeroinit"

# from the bottom to the top: each may import what stands before it
ORDER = [
    "errors",
    "keys",
    "garbage",
    "kernels",
    "environment",
    "signals",
    "process",
    "rng",
    "user_code",
    "arguments",
    "target",
    "bias_scale",
    "layers",
    "call_order",
    "arch",
    "progress",
    "dataset.split",
    "dataset.check",
    "dataset.images",
    "dataset.embedded",
    "dataset.published",
    "dataset.listing",
    "dataset.folder",
    "dataset",
    "batches",
    "first_batch",
    "init",
    "draws",
    "histogram",
    "probe",
    "metric_names",
    "curvature",
    "ramp",
    "evaluation",
    "alone",
    "stack",
    "ties",
    "quotient",
    "arrival",
    "loop",
    "verdict",
    "tracker",
    "config.check",
    "config.unknown",
    "config.identity",
    "config.claims",
    "config.variables",
    "config.choices",
    "config.saved",
    "config.resolve",
    "config",
    "job_folder",
    "hooks",
    "tracker.off",
    "tracker.reach",
    "tracker.database",
    "tracker.accepted",
    "tracker.artifacts",
    "tracker.connection",
    "tracker.running",
    "tracker.mlflow",
    "stale",
    "provenance",
    "first_gradients",
    "observer",
    "report.statistics",
    "report.cells",
    "report.asked",
    "report.watched",
    "report.checks",
    "report.pairs",
    "report.claims",
    "report.page",
    "report.confounded",
    "report.identical",
    "report.figures.style",
    "report.figures.facets",
    "report.figures.accuracy",
    "report.figures.neurons",
    "report.figures.maps",
    "report.figures.gradients",
    "report.figures.wave",
    "report.figures.boxes",
    "report.figures",
    "report.drawing",
    "report",
    "report.kept",
    "report.results",
    "report.command",
    "storable",
    "limits",
    "code_hash",
    "build",
    "claim_cells",
    "repeatable",
    "moments",
    "lint.made",
    "lint.batch",
    "lint",
    "audit",
    "resume",
    "before",
    "plan",
    "pool",
    "failures",
    "runs",
    "rerun",
    "composition",
    "overrides",
    "train",
    "orchestrate",
    "__main__",
]
FIGURES = ("style", "facets", "accuracy", "neurons", "maps", "gradients", "wave", "boxes")
KNOWN_BY = {
    "hydra": {"code_hash", "composition", "overrides", "target", "rerun", "train", "__main__"},
    "mlflow": {f"tracker.{name}" for name in ("accepted", "artifacts", "connection", "database", "mlflow", "running")},
    "matplotlib": {f"report.figures.{name}" for name in FIGURES},
    "torchvision": {"arch", "dataset.images", "dataset.published"},
    "PIL": {"dataset.folder"},
    "rich": {"progress", "report", "report.cells", "report.checks", "report.claims"},
}


def imports(source: str) -> set[str]:
    """Every module that the source imports, anywhere in it, by its full name."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(name: str, source: str) -> list[str]:
    """What the module `name` imports and may not."""
    wrong = []
    for imported in imports(source):
        own = imported.removeprefix("zeroinit.")
        of_its_own = imported.startswith("zeroinit.") and own in ORDER
        runs_it = (name, own) == ("train", "__main__")  # python -m zeroinit.train is the command too
        if of_its_own and not runs_it and ORDER.index(own) >= ORDER.index(name):
            wrong.append(f"{name} imports {own}, which stands above it")
        if imported.startswith("hydra_plugins"):
            wrong.append(f"{name} imports {imported}")
        library = imported.split(".")[0]
        if library in KNOWN_BY and name not in KNOWN_BY[library]:
            wrong.append(f"{name} imports {library}")
    return wrong


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    del found[""]  # the package itself, which imports nothing of its own
    return found


def test_every_module_has_its_place() -> None:
    assert set(modules()) == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_run_downwards(name: str) -> None:
    assert violations(name, modules()[name].read_text()) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("loop", "from zeroinit.train import run"),
        ("loop", "from zeroinit import train"),
        ("init", "import zeroinit.loop"),
        ("dataset", "def late():\n    from mlflow import MlflowClient"),
        ("tracker", "import matplotlib.pyplot as plt"),
        ("loop", "from hydra.utils import instantiate"),
        ("train", "from hydra_plugins.zeroinit import compose"),
    ],
)
def test_a_wrong_import_is_found(name: str, source: str) -> None:
    assert violations(name, source)


def test_listing_the_plugins_imports_no_torch() -> None:
    """Every Hydra application in the same environment imports them."""
    for path in PLUGINS.glob("*.py"):
        top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = imports("\n".join(ast.unparse(node) for node in top))
        assert not {name for name in names if name.startswith("zeroinit.")} - {"zeroinit.CONF", "zeroinit.SWEEPS"}
        assert "torch" not in names
