"""Data sets as whole tensors. An option of `dataset` is a function here, which gets a generator for all it draws."""

from zeroinit.dataset.bundled import diabetes, digits, mnist5k, planar, xor
from zeroinit.dataset.data import Data
from zeroinit.dataset.downloaded import cifar10, fashion_mnist, mnist
from zeroinit.dataset.folder import image_folder
from zeroinit.dataset.teacher import teacher_student
from zeroinit.dataset.torch_items import torch_dataset

__all__ = [
    "Data",
    "cifar10",
    "diabetes",
    "digits",
    "fashion_mnist",
    "image_folder",
    "mnist",
    "mnist5k",
    "planar",
    "teacher_student",
    "torch_dataset",
    "xor",
]
