"""Folders of images."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, mode: str = "RGB", size: tuple[int, int] = (6, 5)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def fill(root: Path, mode: str = "RGB", each: int = 4) -> Path:
    """Two classes, `each` images of 6x5 (width x height) a class and part."""
    seed = 0
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for index in range(each):
                picture(seed, mode).save(root / part / name / f"{index}.png")
                seed += 1
    return root
