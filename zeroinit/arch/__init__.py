"""Plain torch modules, built from the shapes of the data. They do not choose their initialisation."""

from zeroinit.arch.convolutional import CifarCNN, MnistCNN, resnet50
from zeroinit.arch.dense import FNN, Logistic
from zeroinit.arch.parts import ACTIVATIONS, activation_module, image_shape

__all__ = [
    "ACTIVATIONS",
    "FNN",
    "CifarCNN",
    "Logistic",
    "MnistCNN",
    "activation_module",
    "image_shape",
    "resnet50",
]
