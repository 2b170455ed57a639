"""The loss of a config, fitted to its data."""

from zeroinit.config.schema import RunConfig
from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.loss import Loss


def make_loss(config: RunConfig, data: Data) -> Loss:
    """Return the loss of a config.

    Raises:
        BadInput: The loss does not fit the targets of the data.
    """
    loss = config.loss.instantiate(data)
    if not isinstance(loss, Loss):
        raise BadInput(
            f"{config.loss}: it returned a {type(loss).__name__}; for a function of yours, give loss=function "
            "loss.function._target_=YOURS"
        )
    return loss
