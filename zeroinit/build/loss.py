"""The loss of a config, fitted to its data."""

from functools import lru_cache

from zeroinit.config.schema import RunConfig
from zeroinit.config.target import Target
from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.loss import Loss


def make_loss(config: RunConfig, data: Data) -> Loss:
    """Return the loss of a config.

    Raises:
        BadInput: The loss does not fit the targets of the data.
    """
    return _fit(config.loss, data)


@lru_cache(maxsize=4)
def _fit(target: Target, data: Data) -> Loss:
    """Return the loss of a target for the data, which a sweep needs many times."""
    loss = target.instantiate(data)
    if not isinstance(loss, Loss):
        raise BadInput(
            f"{target}: it returned a {type(loss).__name__}; for a function of yours, give loss=function "
            "loss.function._target_=YOURS"
        )
    return loss
