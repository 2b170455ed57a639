"""What every test stands on: the command in this process, in a folder of its own, and jobs from overrides."""

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from zeroinit.kernels import pin_kernels

pin_kernels()  # before torch is imported

import torch
from helpers.report_page import open_page  # noqa: F401 # a fixture
from helpers.trainings import train_members
from hydra import compose, initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from mlflow import MlflowClient

from zeroinit import CONF, build
from zeroinit.__main__ import main
from zeroinit.build import checks, repeatable
from zeroinit.build import data as build_data
from zeroinit.build import tracker as build_tracker
from zeroinit.config import Job, code_hash, target
from zeroinit.config.compose import job_of as compose_job
from zeroinit.dataset import folder
from zeroinit.dataset.batches import Augment
from zeroinit.diagnostics import lint
from zeroinit.report import select_figures
from zeroinit.rng import stream
from zeroinit.sweep import checkpoint
from zeroinit.tracker import provenance
from zeroinit.training.cohort import Member
from zeroinit.training.events import Event, Weights

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as where the tests are a job in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


WORKERS = "hydra.launcher.workers="
# modules whose tests run whole commands, worker processes, a browser or long trainings; the longest come first
LONGEST = ("test_blocks", "test_mlflow_ui", "test_launcher", "test_ecosystem", "test_database_servers", "test_wheel")
SLOW = (
    *LONGEST,
    *("test_options", "test_gpu", "test_cli", "test_bad_values", "test_sizes", "test_lint", "test_rerun"),
    "test_generated_inputs",
    *("test_store_failures", "test_stack", "test_resume", "test_bad_input", "test_renamed", "test_compose"),
    *("test_orchestrate", "test_config", "test_tracker", "test_laboratory", "test_unknown_keys", "test_init"),
    *("test_outcome", "test_hydra_jobs", "test_ties", "test_user_exits", "test_report_command", "test_commands"),
    *("test_page_in_browser", "test_conclude", "test_sweep_data", "test_watch", "test_python_api", "test_snapshot"),
    *(
        "test_environment",
        "test_dtype",
        "test_pool",
        "test_first_gradient",
        "test_stale",
        "test_folder",
        "test_claim_files",
        "test_site",
    ),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew")
    parser.addoption("--all-sweeps", action="store_true", help="run all of the paper's sweeps twice, not two of them")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and put the longest first, so that no worker waits for them at the end."""
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker("slow")
    items.sort(key=lambda item: item.path.stem not in LONGEST)


class Ended(NamedTuple):
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test in an empty folder, with no tracker, check or server left over from another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv(provenance.COMMAND, "")  # which the command sets
    monkeypatch.setenv(checkpoint.FOLDER, "")  # so does it
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    torch.set_num_threads(1)
    for cached in (
        build_tracker.open_cached,
        target.resolve_cached,
        code_hash.hash_of_files,
        build_data.data_hash,
        provenance.provenance,
        folder.folder_fingerprint,
    ):
        cached.cache_clear()
    checks.checked_layers.clear()
    repeatable.checked.clear()
    lint.known.clear()
    yield
    GlobalHydra.instance().clear()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take seconds to make, and nothing in them."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Path:
    """The store of the test's folder, made before the command is."""
    path = tmp_path / "mlruns" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(empty_database, path)
    return path


def not_drawn(name: str, *data: object) -> bytes:
    """In the place of a figure, which takes a third of a second, where no test looks at it."""
    return b"not drawn"


def mode_of(real: Callable[..., object]) -> Callable[..., object]:
    """Hydra composes a config once more than it needs to, to read a mode that config.yaml does not set."""

    def get_mode(self: Hydra, config_name: str, overrides: list[str]) -> object:
        unset = config_name == "config" and not any("hydra.mode" in override for override in overrides)
        return None if unset else real(self, config_name, overrides)

    return get_mode


@pytest.fixture
def _figures() -> None:
    """Sweeps of the command draw their figures."""


@pytest.fixture
def zeroinit(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Callable[..., Ended]:
    """The command `zeroinit`, in this process, which trains sweeps too unless a launcher or workers are named.

    Figures are drawn for tests that ask for `_figures`.
    """
    monkeypatch.setattr(Hydra, "get_mode", mode_of(Hydra.get_mode))

    def command(*words: str) -> Ended:
        sweeps = {"-m", "-cn"} & set(words) and not any(word.startswith(("hydra/launcher", WORKERS)) for word in words)
        monkeypatch.setattr(sys, "argv", ["zeroinit", *words, *([f"{WORKERS}1"] if sweeps else [])])
        monkeypatch.setattr(sys, "path", list(sys.path))
        build_tracker.open_cached.cache_clear()
        code_hash.hash_of_files.cache_clear()
        checks.checked_layers.clear()
        repeatable.checked.clear()
        lint.known.clear()
        folder.folder_fingerprint.cache_clear()
        code = 0
        with pytest.MonkeyPatch.context() as patch:
            if "_figures" not in request.fixturenames:
                patch.setattr(select_figures, "draw_figure", not_drawn)
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        captured = capfd.readouterr()
        return Ended(code, captured.out, captured.err)

    return command


@pytest.fixture(scope="session")
def job_of() -> Callable[..., Job]:
    """The job that overrides describe, composed by Hydra alone."""

    def job(*overrides: str, config_name: str = "config") -> Job:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose(config_name, list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        return compose_job(cfg)

    return job


@pytest.fixture(scope="session")
def course() -> Callable[[Job], list[dict[str, torch.Tensor]]]:
    """{layer.weight: ..., layer.bias: ...} after 0, 1, ... updates of a job's net, which trains alone."""

    def states(job: Job) -> list[dict[str, torch.Tensor]]:
        config = job.config
        data = build.load(config, torch.device("cpu"))
        model, _, optimizer = build.build(config, data)
        states_by_step = []

        def observe(event: Event) -> None:
            if isinstance(event, Weights):
                pairs = {f"{layer}.weight": weights[0].clone() for layer, (weights, _) in event.layers.items()}
                states_by_step.append(
                    pairs | {f"{layer}.bias": pair[1][0].clone() for layer, pair in event.layers.items()}
                )

        train_members(
            [Member(model, optimizer, stream("order", 0), stream("augment", 0), config.duration.steps)],
            data,
            batch_size=build.batch_size_of(config, data),
            shuffle=True,
            augment=Augment(padding=0, flip=False),
            reduction="mean",
            tied=config.arithmetic == "tied",
            loss=build.make_loss(config, data),
            observe=observe,
        )
        return states_by_step

    return states
