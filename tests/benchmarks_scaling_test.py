"""The benchmark of the store and of messages between processes."""

from benchmarks import scaling


def test_what_a_record_takes(capsys):
    found = scaling.main(["--archs=130", "--proxies=2", "--files=3", "--megabytes=0"])
    out = capsys.readouterr().out
    assert set(found) == {line.split()[0] for line in out.splitlines()}
    # A text of some 70 letters and three numbers of 8 bytes; a message has numbers and places alone.
    assert found["store_bytes_per_record"] > 94 > found["message_bytes_per_record"] > 16
    assert all(value > 0 for value in found.values())
