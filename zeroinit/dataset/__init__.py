"""Data sets as whole tensors: an option of `dataset` is a function here, of a generator for what it splits or draws."""

from zeroinit.dataset.embedded import digits, mnist5k, planar, xor
from zeroinit.dataset.folder import image_folder
from zeroinit.dataset.published import cifar10, fashion_mnist, mnist
from zeroinit.dataset.split import Data

__all__ = ["Data", "cifar10", "digits", "fashion_mnist", "image_folder", "mnist", "mnist5k", "planar", "xor"]
