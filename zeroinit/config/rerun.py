"""The command on a saved config: `zeroinit -cp RUN/.hydra -cn config`."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from zeroinit import CONF
from zeroinit.config.read import Values
from zeroinit.config.saved import Saved, read_saved
from zeroinit.errors import BadInput

NAME = "zeroinit_saved"  # of the primary config, in Hydra's store of configs


def run_from_folder(task_function: Callable[[DictConfig], Any]) -> bool:
    """Run the command if it names a folder of configs by -cp. Return whether it does.

    A config without a defaults list is a saved one: its values are the primary config, with zeroinit's node `hydra`
    and every group that is typed. A relative folder is in the current folder; Hydra would look in the package.

    Raises:
        BadInput: There is no such folder, or its file of that name is no config.
    """
    if not any(word.startswith(("-cp", "--config-p")) for word in sys.argv[1:]):
        return False
    parser = get_args_parser()
    args = parser.parse_args()
    if args.config_path is None:
        return False
    folder = Path(args.config_path).expanduser().absolute()
    path = folder / f"{(args.config_name or 'config').removesuffix('.yaml')}.yaml"
    saved = read_saved(path) if path.is_file() else None
    if saved:
        overrides = OverridesParser.create().parse_overrides(list(args.overrides))
        _check_seed(saved, overrides, Path(args.config_path, path.name))
        node = _primary_config(saved, _chosen_groups(overrides))
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


def _check_seed(saved: Saved, overrides: Sequence[Override], path: Path) -> None:
    """Raise BadInput for a typed seed that no key refers to: older sweeps saved numbers in place of references."""
    seed = next((override for override in overrides if override.key_or_group == "seed"), None)
    if seed and "${seed}" not in json.dumps(saved.values):
        raise BadInput(
            f"{seed.input_line}: no key of {path} refers to it; give seeds.init={seed.value()}, and seeds.order, "
            "seeds.augment and seeds.forward likewise"
        )


def _primary_config(saved: Saved, typed_groups: Sequence[str]) -> DictConfig:
    """Return the saved values as a config for Hydra, with zeroinit's Hydra node and the groups that are typed."""
    ours = OmegaConf.load(CONF / "config.yaml")
    assert isinstance(ours, DictConfig)
    usual = {
        str(key): option for entry in ours.defaults if isinstance(entry, DictConfig) for key, option in entry.items()
    }
    typed = [key for key in typed_groups if key in usual]
    values = dict(saved.values)
    for key in typed:
        group, _, package = key.partition("@")
        path = CONF / group / f"{saved.choices.get(key)}.yaml"
        option = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}
        assert isinstance(option, dict)
        packages = [name.partition("@")[2] for name in usual]
        values = _remove_option(values, ours, (package or group).split("."), packages, option)
    if saved.sweep and values.get("sweep") is None:
        values["sweep"] = saved.sweep
    hydra_node = OmegaConf.to_container(ours.hydra)
    added = {"runtime": {"choices": saved.choices}, "job": {"env_set": saved.variables}}
    defaults = ["_self_", *({key: usual[key]} for key in typed)]
    defaults += [{key: option} for key, option in usual.items() if key.startswith("override ")]
    return OmegaConf.create({"defaults": defaults, **values, "hydra": OmegaConf.merge(hydra_node, added)})


def _chosen_groups(overrides: Sequence[Override]) -> list[str]:
    """Return the keys of overrides that may choose an option, such as `init` and `init@init.rest`."""
    chosen = [override for override in overrides if not override.is_add() and not override.is_delete()]
    return [
        f"{override.key_or_group}@{override.package}" if override.package else override.key_or_group
        for override in chosen
    ]


def _remove_option(
    values: Values, ours: DictConfig, path: Sequence[str], packages: Sequence[str], option: Mapping[Any, Any]
) -> Values:
    """Return the values without the keys that an option put at a path.

    The keys of zeroinit's config.yaml and the nodes of other options stay. A key of config.yaml that still has the
    option's value gets its default.
    """
    name, *rest = path
    node = values.get(name)
    if not isinstance(node, dict):
        return values
    our_node = ours.get(name)
    if rest:
        below = our_node if isinstance(our_node, DictConfig) else OmegaConf.create({})
        return values | {name: _remove_option(node, below, rest, packages, option)}
    remaining = {str(key) for key in our_node} if isinstance(our_node, DictConfig) else set()
    remaining |= {package.removeprefix(f"{name}.") for package in packages if package.startswith(f"{name}.")}
    defaults: Any = OmegaConf.to_container(our_node) if isinstance(our_node, DictConfig) else {}
    changed = {key for key in defaults if key in option and node.get(key) == option[key]}
    left = {key: defaults[key] if key in changed else value for key, value in node.items() if key in remaining}
    return values | {name: left}
