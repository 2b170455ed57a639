"""The kernels that torch, MKL and oneDNN compute with are chosen before torch is imported."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest

from zeroinit import kernels
from zeroinit.config.code_hash import hash_code

BEFORE_TORCH = """
import os, sys
import zeroinit.__main__ as program
from zeroinit import kernels
program.main = lambda: print("torch" in sys.modules, [os.environ.get(name) for name in kernels.PORTABLE])
kernels.cpu_info = lambda: {"flags": "avx2 fma"}
sys.argv = ["zeroinit"]
"""


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable is set, whatever this machine is, and none of a test's stays."""
    for name in (kernels.SWITCH, *kernels.PORTABLE):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    kernels.warn_of_native_kernels.cache_clear()
    yield
    kernels.warn_of_native_kernels.cache_clear()


def set_cpu(monkeypatch: pytest.MonkeyPatch, flags: str) -> None:
    monkeypatch.setattr(kernels, "cpu_info", lambda: {"flags": flags})


def test_kernels_are_pinned_on_avx2_and_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    set_cpu(monkeypatch, "sse4_2 fma avx2 avx512f")
    kernels.pin_kernels()
    assert {name: os.environ[name] for name in kernels.PORTABLE} == kernels.PORTABLE
    assert kernels.kernel_settings() == "ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=AVX2 ONEDNN_MAX_CPU_ISA=AVX2"


@pytest.mark.parametrize("flags", ["", "sse4_2 avx", "avx2"])
def test_other_processors_keep_their_kernels(flags: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_cpu(monkeypatch, flags)
    kernels.pin_kernels()
    assert kernels.kernel_settings() == "native"


def test_a_variable_that_is_set_keeps_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    set_cpu(monkeypatch, "fma avx2")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    kernels.pin_kernels()
    assert os.environ["MKL_CBWR"] == "COMPATIBLE"
    assert os.environ["ATEN_CPU_CAPABILITY"] == "avx2"


def test_native_kernels_are_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    set_cpu(monkeypatch, "fma avx2")
    monkeypatch.setenv(kernels.SWITCH, "native")
    kernels.pin_kernels()
    assert kernels.kernel_settings() == "native"


def test_other_kernels_make_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may give other numbers, so that their runs are not taken for those of portable kernels."""
    values = {"arch": {"_target_": "zeroinit.arch.FNN"}}
    assert hash_code(values) == ""
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    by_hand = hash_code(values)
    monkeypatch.setenv(kernels.SWITCH, "native")
    assert len({"", by_hand, hash_code(values)}) == 3


def test_another_choice_is_refused_before_torch_is_imported() -> None:
    environment = os.environ | {kernels.SWITCH: "fast"}
    words = [sys.executable, "-m", "zeroinit", "dataset=xor"]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert (
        ended.stderr == "zeroinit: ZEROINIT_KERNELS=fast: give portable (AVX2 kernels on every processor) or native\n"
    )


@pytest.mark.parametrize("module", ["zeroinit", "zeroinit.train"])
def test_kernels_are_pinned_before_torch_is_imported(module: str) -> None:
    """Of both ways to start the command; torch reads the variables as it starts."""
    start = "import runpy; runpy.run_module('zeroinit.train', run_name='__main__')"
    code = BEFORE_TORCH + ("program.command()" if module == "zeroinit" else start)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout == "False ['avx2', 'AVX2', 'AVX2']\n", ended.stderr


@pytest.mark.parametrize(("capability", "flags"), [("AVX512", "fma avx2 avx512f"), ("AVX2", "fma avx2 avx512f")])
def test_a_notebook_that_imported_torch_first_is_warned(
    capability: str, flags: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_cpu(monkeypatch, flags)
    with pytest.warns(UserWarning, match=f"torch computes with {capability} kernels.*set ATEN_CPU_CAPABILITY=avx2"):
        kernels.warn_of_native_kernels(capability)


def test_pinned_and_narrow_processors_are_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        set_cpu(monkeypatch, "fma avx2")
        kernels.warn_of_native_kernels("AVX2")
        kernels.warn_of_native_kernels.cache_clear()
        set_cpu(monkeypatch, "fma avx2 avx512f")
        kernels.pin_kernels()
        kernels.warn_of_native_kernels("AVX2")
        monkeypatch.setenv(kernels.SWITCH, "native")
        kernels.warn_of_native_kernels("AVX512")
