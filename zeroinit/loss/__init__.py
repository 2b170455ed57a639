"""What a training minimises. An option of the group `loss` names a function here."""

from zeroinit.loss.losses import CrossEntropy, Loss, Reduction, subtract_labels
from zeroinit.loss.options import binary_cross_entropy, cross_entropy, from_function, mean_squared_error

__all__ = [
    "CrossEntropy",
    "Loss",
    "Reduction",
    "binary_cross_entropy",
    "cross_entropy",
    "from_function",
    "mean_squared_error",
    "subtract_labels",
]
