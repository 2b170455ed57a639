"""The tags that are the same for every run of a process."""

from importlib.metadata import PackageNotFoundError, version

import pytest

from zeroinit.tracker import provenance


def test_a_checkout_that_is_not_installed_has_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    installed = version("zeroinit")
    monkeypatch.setattr(provenance, "version", not_installed)
    assert provenance._version_of("zeroinit") == installed
