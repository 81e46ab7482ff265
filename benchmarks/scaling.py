"""What scoring on many machines costs beside the scoring: bytes and seconds of the store, and of the exchange.

    python -m benchmarks.scaling [--archs=100000] [--proxies=3] [--files=4] [--megabytes=16]

Records are made up, with the encodings of NAS-Bench-201 and random numbers. They are written in blocks of 64, by one
writer into each of so many files, and read back as a restart reads them. Then two processes on this machine exchange
that many megabytes that cannot be compressed, through the coordination service of JAX.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import zlib

import numpy as np

BLOCK = 64


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archs", type=int, default=100_000, help="architectures (100000)")
    parser.add_argument("--proxies", type=int, default=3, help="scores an architecture (3)")
    parser.add_argument("--files", type=int, default=4, help="processes that write, one file each (4)")
    parser.add_argument("--megabytes", type=int, default=16, help="what two processes exchange; 0 leaves it out (16)")
    parser.add_argument("--join", nargs=2, metavar=("ADDRESS", "NUMBER"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.join:
        exchange(args.join[0], int(args.join[1]), args.megabytes)
        return {}
    found = store(args.archs, args.proxies, args.files)
    if args.megabytes:
        found["exchange_megabytes_per_second"] = pair(args.megabytes)
    for name, value in found.items():
        print(f"{name:<32}{value:,.3g}")
    return found


def store(archs: int, proxies: int, files: int) -> dict[str, float]:
    """Bytes and seconds of records in SQLite files, and bytes of the same records as a message."""
    import nasjax
    from nasjax.records import Record, Store

    space = nasjax.get_space("nasbench201")
    texts = space.encode(space.all())
    rng = np.random.default_rng(0)
    contexts = [f"{rng.bytes(32).hex()}" for _ in range(proxies)]

    def record(number: int, context: str) -> Record:
        # Beyond the 15,625 cells, a number makes another text of them, as long as those of larger spaces.
        text = texts[number % len(texts)] + (f"#{number // len(texts)}" if number >= len(texts) else "")
        score, seconds = rng.normal(), rng.random()
        return Record(context, text, "zico", score, score, True, "", seconds)

    rows = [[record(number, context) for context in contexts] for number in range(archs)]
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory)
        begin = time.perf_counter()
        for number in range(files):
            with Store.open(path, process=number) as writer:
                own = rows[number::files]
                for start in range(0, len(own), BLOCK):
                    writer.put(r for each in own[start : start + BLOCK] for r in each)
        written = time.perf_counter() - begin
        size = sum(file.stat().st_size for file in path.glob("*.sqlite"))
        begin = time.perf_counter()
        with Store.open(path, process=0) as reader:
            back = sum(len(reader.get(context)) for context in contexts)
        read = time.perf_counter() - begin
    assert back == archs * proxies
    message = json.dumps([[i, n, *r[2:]] for n, each in enumerate(rows) for i, r in enumerate(each)]).encode()
    begin = time.perf_counter()
    packed = len(zlib.compress(message, 1))
    count = archs * proxies
    return {
        "store_bytes_per_record": size / count,
        "store_writes_per_second": archs / BLOCK / written,
        "store_reads_per_second": count / read,
        "message_bytes_per_record": packed / count,
        "message_megabytes_per_second": len(message) / 1e6 / (time.perf_counter() - begin),
    }


def pair(megabytes: int) -> float:
    """Megabytes a second that each of two processes receives."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "benchmarks.scaling", f"--megabytes={megabytes}", "--join", address]
    other = subprocess.Popen([*command, "1"], stdout=subprocess.DEVNULL)
    try:
        done = subprocess.run([*command, "0"], capture_output=True, text=True, check=True)
    finally:
        other.wait(120)
    return float(done.stdout)


def exchange(address: str, number: int, megabytes: int) -> None:
    """One of the two."""
    from nasjax import parallel

    parallel.initialize(coordinator_address=address, num_processes=2, process_id=number)
    noise = np.random.default_rng(number).bytes(megabytes * 1_000_000)
    parallel.gather_bytes("begin", b"")
    begin = time.perf_counter()
    parallel.gather_bytes("noise", noise)
    print(megabytes / (time.perf_counter() - begin))
    parallel.gather_bytes("end", b"")


if __name__ == "__main__":
    main()
