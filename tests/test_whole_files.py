"""Files that are whole or not there: after an error, after a killed process, and while others read."""

import os
import time
from pathlib import Path

import pytest

from zeroinit.whole_files import STALE_SECONDS, open_whole, remove_stale


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with open_whole(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
        assert len([*tmp_path.iterdir()]) == 2
    assert path.read_bytes() == b"after"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("error", [OSError("No space left"), KeyboardInterrupt()])
def test_an_error_leaves_the_file_of_before_and_no_part(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def write() -> None:
        with open_whole(path) as file:
            file.write(b"af")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"before"
    assert [*tmp_path.iterdir()] == [path]


def test_the_content_is_on_the_disk_before_the_name_and_the_name_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "file", []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}").rpartition("/")[2], path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with open_whole(path) as file:
        file.write(b"content")
    [(content, had_name), (folder, has_name)] = synced
    assert content.startswith(".file-")
    assert (folder, had_name, has_name) == (tmp_path.name, False, True)


def test_parts_of_a_killed_process_are_removed_and_those_of_a_living_one_stay(tmp_path: Path) -> None:
    whole = tmp_path / "file"
    with open_whole(whole) as file:
        file.write(b"whole")
        [young] = tmp_path.glob(".*")
        old = tmp_path / ".file-0.partial"
        for path in (old, tmp_path / "other"):
            path.touch()
            os.utime(path, times=(time.time() - STALE_SECONDS - 1,) * 2)
        remove_stale(tmp_path)
        assert {*tmp_path.iterdir()} == {young, tmp_path / "other"}
