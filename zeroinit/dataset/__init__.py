"""Data sets as whole tensors. An option of `dataset` is a function here, which gets a generator for all it draws."""

from zeroinit.dataset.bundled import digits, mnist5k, planar, xor
from zeroinit.dataset.data import Data
from zeroinit.dataset.downloaded import cifar10, fashion_mnist, mnist
from zeroinit.dataset.folder import image_folder

__all__ = ["Data", "cifar10", "digits", "fashion_mnist", "image_folder", "mnist", "mnist5k", "planar", "xor"]
