"""What the tests of a CUDA device use. Nothing here imports Hydra or MLflow, which a GPU machine may lack."""

import os
from collections.abc import Iterator

import pytest

from zeroinit.kernels import pin_kernels

pin_kernels()  # before torch is imported

import torch  # noqa: E402

NAME = os.environ.get("ZEROINIT_TEST_DEVICE", "cuda")  # cpu: to try the tests themselves


@pytest.fixture
def device() -> Iterator[torch.device]:
    """The device under test."""
    if NAME == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    yield torch.device(NAME)
    torch.use_deterministic_algorithms(False)
