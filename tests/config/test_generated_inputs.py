"""Bad inputs that hypothesis makes end in one sentence; benchmarks/bad_inputs.py runs more of them, as commands."""

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from helpers.bad_inputs import KINDS, Example, run_command, run_parts
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from hypothesis import HealthCheck, Phase, given, settings

from hydra_plugins.zeroinit.compose import Composer
from zeroinit import CONF
from zeroinit.config import Job
from zeroinit.config.compose import job_of
from zeroinit.config.overrides import check_overrides

EXAMPLES = {  # as many as take a second or two; those below need all of Hydra, or a database
    **{"keys": 40, "images": 30, "IDX files": 30, "CIFAR files": 20},
    **{"axes": 12, "sweep files": 12, "saved configs": 8, "databases": 8},
}
COMMANDS = ("axes", "sweep files", "saved configs")


@pytest.fixture(scope="module")
def compose() -> Callable[[list[str]], Job]:
    """Compose a job in milliseconds."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        composer = Composer(loader, loader.load_configuration("config", [], run_mode=RunMode.RUN))

    def job(words: list[str]) -> Job:
        check_overrides(OverridesParser.create().parse_overrides(words))
        cfg = composer.compose(words)
        HydraConfig.instance().set_config(cfg)
        return job_of(cfg)

    return job


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("kind", KINDS)
def test_they_end_in_one_sentence(kind: str, compose: Callable[[list[str]], Job], tmp_path: Path) -> None:
    count = 0

    @settings(
        max_examples=EXAMPLES[kind],
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(KINDS[kind]())
    def run(example: Example) -> None:
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        folder.mkdir()
        with chdir(folder):
            example.write(folder)
            ending = run_command(example) if kind in COMMANDS else run_parts(example, compose)
            assert not ending.fault, f"{ending.fault}\n{example.words}"
            assert not Path("harmed").exists()

    run()
