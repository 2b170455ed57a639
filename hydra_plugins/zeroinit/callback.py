"""What every sweep begins and ends with, whichever sweeper and launcher are Hydra's choice."""

import json
import time
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

OURS = "hydra_plugins.zeroinit.sweeper.GridSweeper"
IN_PROCESS = ("zeroinit", "basic")  # launchers that train in the process that ends the sweep


class SweepCallback(Callback):
    """Stops what another plugin would do silently wrong; ends the sweep of another sweeper with a table like ours."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        from zeroinit import train  # imports torch, which listing the plugins must not
        from zeroinit.errors import BadInput

        self.started = time.time()
        launcher = config.hydra.runtime.choices["hydra/launcher"]
        direction = config.hydra.sweeper.get("direction")
        if config.hydra.runtime.choices.tracker == "off" and launcher not in IN_PROCESS:
            train.stop(
                BadInput(
                    f"tracker=off: its runs are known in the process that trains them alone, and "
                    f"hydra/launcher={launcher} trains in others; set one of them otherwise"
                )
            )
        if getattr(direction, "name", direction) == "minimize":
            train.stop(
                BadInput(
                    "hydra.sweeper.direction=minimize: the value of a run is its best validation accuracy; "
                    "give hydra.sweeper.direction=maximize"
                )
            )

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from zeroinit import build, train
        from zeroinit.errors import BadInput
        from zeroinit.report import conclude

        if config.hydra.sweeper._target_ == OURS:
            return  # it has concluded itself, as its exit code depends on the runs
        HydraConfig.instance().set_config(config)
        try:
            tracker = build.opened(json.dumps(dict(config.tracker)), config.sweep or train.sweep_name())
            new = [record for record in tracker.records() if record.started >= self.started]
            if new:
                done = [(one.tags["config_hash"], one.tags["cell_hash"], one.params) for one in reversed(new)]
                conclude(done, tracker)
        except BadInput as error:
            train.stop(error)
