"""The command on a saved config: `zeroinit -cp RUN/.hydra -cn config`."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from zeroinit import CONF
from zeroinit.config.check import Values
from zeroinit.config.saved import Saved, read_saved
from zeroinit.errors import BadInput

NAME = "zeroinit_saved"  # of the primary config, in Hydra's store of configs


def run_from_folder(task_function: Callable[[DictConfig], Any]) -> bool:
    """Run the command if it names a folder of configs by -cp; whether it does.

    A config without a defaults list is a saved one: its values are the primary config, with zeroinit's own node `hydra`
    and every group that is typed. The folder is that of the current folder, where Hydra looks in the package.

    Raises:
        BadInput: There is no such folder, or it has a file of that name that is no config.
    """
    if not any(word.startswith(("-cp", "--config-p")) for word in sys.argv[1:]):
        return False
    parser = get_args_parser()
    args = parser.parse_args()
    if args.config_path is None or args.experimental_rerun is not None:
        return False
    folder = Path(args.config_path).expanduser().absolute()
    path = folder / f"{(args.config_name or 'config').removesuffix('.yaml')}.yaml"
    saved = read_saved(path) if path.is_file() else None
    if saved:
        overrides = OverridesParser.create().parse_overrides(list(args.overrides))
        check_seed(saved, overrides, Path(args.config_path, path.name))
        node = primary_config(saved, groups_of(overrides))
        ConfigStore.instance().store(name=NAME, node=node, provider="zeroinit")
        args.config_path, args.config_name = None, NAME
    elif not args.config_path.startswith(("pkg://", "file://")):
        if not folder.is_dir():
            raise BadInput(
                f"--config-path={folder}: there is no such folder; give the folder of a config, as RUN/.hydra"
            )
        args.config_path = str(folder)
    _run_hydra(args=args, args_parser=parser, task_function=task_function, config_path=str(CONF), config_name="config")
    return True


def check_seed(saved: Saved, overrides: Sequence[Override], path: Path) -> None:
    """Raise BadInput for a typed seed that no key refers to, as older sweeps saved numbers alone."""
    seed = next((one for one in overrides if one.key_or_group == "seed"), None)
    if seed and "${seed}" not in json.dumps(saved.values):
        raise BadInput(
            f"{seed.input_line}: no key of {path} refers to it; give seeds.init={seed.value()}, and seeds.order, "
            "seeds.augment and seeds.forward likewise"
        )


def primary_config(saved: Saved, typed_groups: Sequence[str]) -> DictConfig:
    """The saved values as a config for Hydra, with zeroinit's own Hydra node and the groups that are typed."""
    ours = OmegaConf.load(CONF / "config.yaml")
    assert isinstance(ours, DictConfig)
    usual = {
        str(key): option for entry in ours.defaults if isinstance(entry, DictConfig) for key, option in entry.items()
    }
    typed = [key for key in typed_groups if key in usual]
    values = dict(saved.values)
    for key in typed:
        group, _, package = key.partition("@")
        values = without_option(values, ours, (package or group).split("."), [name.partition("@")[2] for name in usual])
    if saved.sweep and values.get("sweep") is None:
        values["sweep"] = saved.sweep
    hydra_node = OmegaConf.to_container(ours.hydra)
    added = {"runtime": {"choices": saved.choices}, "job": {"env_set": saved.variables}}
    defaults = ["_self_", *({key: usual[key]} for key in typed)]
    defaults += [{key: option} for key, option in usual.items() if key.startswith("override ")]
    return OmegaConf.create({"defaults": defaults, **values, "hydra": OmegaConf.merge(hydra_node, added)})


def groups_of(overrides: Sequence[Override]) -> list[str]:
    """The keys of overrides that may choose an option: `init`, `init@init.rest`."""
    chosen = [one for one in overrides if not one.is_add() and not one.is_delete()]
    return [f"{one.key_or_group}@{one.package}" if one.package else one.key_or_group for one in chosen]


def without_option(values: Values, ours: DictConfig, path: Sequence[str], packages: Sequence[str]) -> Values:
    """The values without what an option put at a path: all but zeroinit's own keys there, and other options' nodes."""
    name, *rest = path
    node = values.get(name)
    if not isinstance(node, dict):
        return values
    own = ours.get(name)
    if rest:
        below = own if isinstance(own, DictConfig) else OmegaConf.create({})
        return values | {name: without_option(node, below, rest, packages)}
    kept = {str(key) for key in own} if isinstance(own, DictConfig) else set()
    kept |= {package.removeprefix(f"{name}.") for package in packages if package.startswith(f"{name}.")}
    return values | {name: {key: value for key, value in node.items() if key in kept}}
