"""Our composition of a job against Hydra's own, on random overrides."""

import random
from collections.abc import Iterator

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.zeroinit.compose import Composer
from zeroinit import CONF

OVERRIDES = {
    "init": ["init=zero", "init=zero_normal", "init=ones"],
    "arch": ["arch=logistic", "arch=fnn"],
    "bias_scale": ["bias_scale=fan_in", "bias_scale={value: 3}"],
    "value": ["bias_scale.value=0.1", "bias_scale.value=${optimizer.lr}", "bias_scale.value=1e-3"],
    "seed": ["seed=3", "seed=0"],
    "order": ["seeds.order=7", "seeds.order=${seeds.split}"],
    "length": ["steps=50", "epochs=3", "epochs=${seed}"],
    "sweep": ["sweep='a, b'", "sweep=${arch._target_}", 'sweep="x=y"'],
    "added": ["+mine=1", "+mine.deep=[1,2]", "++mine={a: 1}"],
    "gone": ["~optimizer.betas", "~dataset.shuffle"],
    "dataset": ["dataset=xor", "dataset=planar", "dataset.batch_size=all"],
}


@pytest.fixture
def composer() -> Iterator[Composer]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", ["hydra.verbose=true"], run_mode=RunMode.MULTIRUN)
        yield Composer(loader, master)


def hydras_own(composer: Composer, overrides: list[str]) -> DictConfig:
    assert isinstance(composer.loader, ConfigLoaderImpl)
    return composer.loader.load_sweep_config(composer.master, overrides)


def to_raw(cfg: DictConfig) -> object:
    return OmegaConf.to_container(cfg, resolve=False)


def to_resolved(cfg: DictConfig) -> object:
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return OmegaConf.to_container(cfg, resolve=True)


@pytest.mark.parametrize("case", range(60))
def test_equal_to_hydras_own(case: int, composer: Composer) -> None:
    chance = random.Random(case)
    keys = chance.sample(sorted(OVERRIDES), chance.randint(0, len(OVERRIDES)))
    overrides = [chance.choice(OVERRIDES[key]) for key in keys]
    ours, theirs = composer.compose(overrides), hydras_own(composer, overrides)
    assert to_raw(ours) == to_raw(theirs)
    assert OmegaConf.is_struct(ours)
    assert to_resolved(ours) == to_resolved(theirs)


def test_one_job_does_not_change_the_next(composer: Composer) -> None:
    before = to_raw(composer.compose(["init=zero", "seed=1"]))
    composer.compose(["init=zero", "seed=2", "+mine=1"])
    assert to_raw(composer.compose(["init=zero", "seed=1"])) == before


def test_the_job_is_numbered(composer: Composer) -> None:
    cfg = composer.job(7, ["seed=1"])
    assert (cfg.hydra.job.id, cfg.hydra.job.num, cfg.seed) == ("7", 7, 1)


def test_one_time_stamp_a_sweep(composer: Composer) -> None:
    folder = composer.master.hydra.sweep.dir  # its ${now:} has microseconds, and is kept once resolved
    assert [composer.job(index, ["seed=1"]).hydra.sweep.dir for index in range(2)] == [folder, folder]


@pytest.mark.parametrize(
    ("override", "error", "said"),
    [
        ("init=nothing", MissingConfigException, "Could not find 'init/nothing'"),
        ("nothing=1", ConfigCompositionException, "Could not override 'nothing'"),
    ],
)
def test_unknown_names_are_told_by_hydra(override: str, error: type, said: str, composer: Composer) -> None:
    with pytest.raises(error, match=said):
        composer.compose([override])
