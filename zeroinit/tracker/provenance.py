"""The code, the versions and the machine of a run, as tags."""

import os
import platform
import subprocess
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from zeroinit.kernels import cpu_name, kernel_settings
from zeroinit.tracker.tags import Tag

COMMAND = "ZEROINIT_COMMAND"  # environment variable with the command as it was typed, for the processes of a sweep
MAX_COMMAND = 5000  # characters that every MLflow server accepts in a tag


def command_tag() -> dict[str, str]:
    """Return the tag with the command that this process, or the process that started it, runs.

    Empty if no command was typed, as in a notebook, or if it is too long for a tag: a part of it is another command.
    """
    command = os.environ.get(COMMAND, "")
    return {Tag.COMMAND: command} if 0 < len(command) <= MAX_COMMAND else {}


@cache
def provenance() -> dict[str, str]:
    """Return the tags that are the same for every run of this process."""
    versions = {f"version.{name}": _version_of(name) for name in ("zeroinit", "torch", "numpy")}
    capability = torch.backends.cpu.get_cpu_capability()
    cpu = {Tag.CPU: cpu_name(), Tag.CPU_CAPABILITY: capability, Tag.KERNELS: kernel_settings()}
    return {**versions, "version.python": platform.python_version(), **cpu, **_git_tags()}


def _version_of(name: str) -> str:
    """Return the installed version; that of the checkout if zeroinit is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        return str(tomllib.loads(project.read_text())["project"]["version"])


def _git_tags() -> dict[str, str]:
    """Return commit and dirtiness of the current folder's repository; without one, of the checkout of zeroinit."""
    for folder in (Path.cwd(), Path(__file__).parent):
        commit = _run_git(folder, "rev-parse", "HEAD")
        if commit:
            return {
                Tag.GIT_COMMIT: commit,
                Tag.GIT_DIRTY: str(bool(_run_git(folder, "status", "--porcelain", "--", ".", ":!mlruns"))).lower(),
            }
    return {}


def _run_git(folder: Path, *arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, no repository, or no commit yet
        return ""


@cache
def device_name(device: torch.device) -> str:
    """Return the device and its model, such as `cuda:0 (NVIDIA H200)` or `cpu (x86_64)`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{device} ({name})"
