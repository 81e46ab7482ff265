"""Files that are no sound store, or cannot be written, get a clear message."""

import os
import sqlite3
import threading

import pytest

from nasjax.records import Record, Store, database
from nasjax.types import InputError


def row(arch="a", reason=""):
    return Record("c", arch, "zico", 1.5, 1.5, True, reason, 0.25)


def fill(path, rows=None, **options):
    with Store.open(path, **options) as store:
        store.put([row()] if rows is None else rows)
        return store.path


def open_error(path, **options):
    with pytest.raises(InputError) as error:
        Store.open(path, **options)
    return str(error.value)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "scores.sqlite").write_text("arch,zico\n")
    message = open_error(tmp_path)
    assert "not a score store" in message and str(tmp_path / "scores.sqlite") in message and "--workdir" in message
    assert (tmp_path / "scores.sqlite").read_text() == "arch,zico\n"


def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "scores.sqlite").touch()  # what a kill right after creation leaves
    fill(tmp_path)


def test_a_database_of_another_program(tmp_path):
    connection = sqlite3.connect(tmp_path / "scores.sqlite")
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    assert "another program" in open_error(tmp_path)


def test_a_store_of_a_newer_version(tmp_path):
    connection = sqlite3.connect(fill(tmp_path))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    message = open_error(tmp_path)
    assert "newer" in message and "99" in message


@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
def test_a_damaged_store(tmp_path, damage):
    path = fill(tmp_path, [row(f"a{i}", reason="x" * 400) for i in range(200)])
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[4096:] = b"\x17" * (len(content) - 4096)
    path.write_bytes(content)
    message = open_error(tmp_path)
    assert "damaged" in message and str(path) in message


def test_a_damaged_file_of_another_process(tmp_path):
    path = fill(tmp_path, process=1)
    path.write_bytes(path.read_bytes()[:5000])
    with Store.open(tmp_path) as store, pytest.raises(InputError, match="scores-1.sqlite is damaged"):
        store.get("c")


def test_nothing_to_read(tmp_path):
    message = open_error(tmp_path / "absent", read_only=True)
    assert "No score store" in message and "launch.score" in message
    assert not (tmp_path / "absent").exists()


def test_a_file_without_tables_yet_is_empty(tmp_path):
    (tmp_path / "scores.sqlite").touch()
    with Store.open(tmp_path, read_only=True) as store:
        assert store.is_empty() and store.contexts() == []
    with Store.open(tmp_path) as store:
        store.put([row()])


def test_readers_while_the_store_is_being_made(tmp_path):
    errors = []

    def read(path):
        try:
            while not errors:
                if (path / "scores.sqlite").exists():
                    with Store.open(path, read_only=True) as store:
                        if not store.is_empty():
                            return
        except InputError as error:
            errors.append(error)

    for turn in range(20):
        path = tmp_path / str(turn)
        readers = [threading.Thread(target=read, args=(path,)) for _ in range(3)]
        for reader in readers:
            reader.start()
        fill(path)
        for reader in readers:
            reader.join()
    assert not errors


def test_read_only_refuses_put(tmp_path):
    path = fill(tmp_path)
    before = path.read_bytes()
    with Store.open(tmp_path, read_only=True) as store, pytest.raises(InputError, match="readonly"):
        store.put([row("b")])
    assert path.read_bytes() == before


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    assert "Cannot make the directory" in open_error(tmp_path / "file" / "dir")


def test_a_locked_store(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    connection = sqlite3.connect(fill(tmp_path))
    connection.execute("BEGIN IMMEDIATE")
    assert "another process" in open_error(tmp_path)
    connection.close()


def test_a_full_disk(tmp_path):
    with Store.open(tmp_path) as store:
        store._connection.execute("PRAGMA max_page_count = 8")
        with pytest.raises(InputError, match="disk is full. Make room"):
            store.put([row(f"a{i}", reason="x" * 500) for i in range(500)])
        store.put([row()])
        assert set(store.get("c")) == {"a"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_write_permission(tmp_path):
    fill(tmp_path)
    for path in (tmp_path / "scores.sqlite", tmp_path):
        path.chmod(0o555)
    assert "writing" in open_error(tmp_path) or "permission" in open_error(tmp_path)
    with Store.open(tmp_path, read_only=True) as store:
        assert "a" in store.get("c")
    tmp_path.chmod(0o755)
