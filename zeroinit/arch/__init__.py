"""Plain torch modules, built from the shapes of the data. They do not choose their initialisation."""

from zeroinit.arch.convolutional import CifarCNN, MnistCNN, resnet50
from zeroinit.arch.dense import FNN, Logistic
from zeroinit.arch.named import timm_model, torchvision_model
from zeroinit.arch.parts import ACTIVATIONS, activation_module, image_shape
from zeroinit.arch.recurrent import RNN
from zeroinit.arch.tokens import MLPMixer, ViT

__all__ = [
    "ACTIVATIONS",
    "FNN",
    "RNN",
    "CifarCNN",
    "Logistic",
    "MLPMixer",
    "MnistCNN",
    "ViT",
    "activation_module",
    "image_shape",
    "resnet50",
    "timm_model",
    "torchvision_model",
]
