"""Lets zeroinit, and no other Hydra application, find the shipped sweeps."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from zeroinit import CONF, SWEEPS


class ZeroinitSearchPath(SearchPathPlugin):
    """Appends sweeps/ where conf/ is the application's own configuration."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        main = [
            element.path.removeprefix("file://") for element in search_path.get_path() if element.provider == "main"
        ]
        if main == [str(CONF)]:
            search_path.append(provider="zeroinit", path=f"file://{SWEEPS}")
