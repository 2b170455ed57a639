"""Where a run came from: the code, the versions and the machine, as tags."""

import os
import platform
import subprocess
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from zeroinit.kernels import cpu_name, kernel_settings

COMMAND = "ZEROINIT_COMMAND"  # the environment variable by which the processes of a sweep know what was typed
LONGEST_COMMAND = 5000  # characters that every MLflow server accepts in a tag


def command_tag() -> dict[str, str]:
    """Return the tag of the command that this process, or the one that started it, was asked to run.

    Empty if no command was typed, as in a notebook, or if it is too long for a tag: a part of it would be another one.
    """
    command = os.environ.get(COMMAND, "")
    return {"command": command} if 0 < len(command) <= LONGEST_COMMAND else {}


@cache
def provenance() -> dict[str, str]:
    """Tags that are the same for every run of this process."""
    versions = {f"version.{name}": version_of(name) for name in ("zeroinit", "torch", "numpy")}
    capability = torch.backends.cpu.get_cpu_capability()
    cpu = {"cpu": cpu_name(), "cpu_capability": capability, "kernels": kernel_settings()}
    return {**versions, "version.python": platform.python_version(), **cpu, **git()}


def version_of(name: str) -> str:
    """Return the installed version; that of the checkout where zeroinit is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        project = Path(__file__).parent.parent / "pyproject.toml"
        return str(tomllib.loads(project.read_text())["project"]["version"])


def git() -> dict[str, str]:
    """Commit and dirtiness of the current folder's repository; outside of one, of zeroinit's own checkout."""
    for folder in (Path.cwd(), Path(__file__).parent):
        commit = ask(folder, "rev-parse", "HEAD")
        if commit:
            return {
                "git.commit": commit,
                "git.dirty": str(bool(ask(folder, "status", "--porcelain", "--", ".", ":!mlruns"))).lower(),
            }
    return {}


def ask(folder: Path, *arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, no repository, or no commit yet
        return ""


@cache
def device_name(device: torch.device) -> str:
    """`cuda:0 (NVIDIA H200)`, `cpu (x86_64)`: the device and what it is."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{device} ({name})"
