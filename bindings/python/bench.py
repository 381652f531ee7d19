"""How many records of 100 bytes a second go through Python, on this machine's disk.

    scripts/test-python bench

Each figure is the median of five runs, over a million records unless it says otherwise; a run has a
topic of its own.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable

import kaffic
import kaffic.aio

RUNS = int(os.environ.get("RUNS", "5"))
RECORDS = int(os.environ.get("RECORDS", "1000000"))
VALUE = bytes(100)
BATCH = 1000


def clock(work: Callable[[], int]) -> float:
    begun = time.perf_counter()
    count = work()
    return count / (time.perf_counter() - begun)


def show(what: str, rates: list[float]) -> None:
    low, high = min(rates) / 1000, max(rates) / 1000
    print(f"{what:45} {statistics.median(rates) / 1000:7.0f}k/s  ({low:.0f}k to {high:.0f}k)", flush=True)


def send_batches(producer: kaffic.Producer, count: int) -> int:
    values = [VALUE] * BATCH
    for _ in range(count // BATCH):
        producer.send_batch(values)
    producer.flush()
    return count


def send_keyed(producer: kaffic.Producer, count: int) -> int:
    for start in range(0, count, BATCH):
        producer.send_batch([kaffic.Record(VALUE, b"%d" % n) for n in range(start, start + BATCH)])
    producer.flush()
    return count


def send_singly(producer: kaffic.Producer, count: int) -> int:
    send = producer.send
    for _ in range(count):
        send(VALUE)
    producer.flush()
    return count


def poll_batches(consumer: kaffic.Consumer) -> int:
    count = 0
    while records := consumer.poll_batch(BATCH):
        for record in records:
            count += len(record.value) // 100
    return count


def iterate(consumer: kaffic.Consumer) -> int:
    count = 0
    for record in consumer:
        count += len(record.value) // 100
    return count


async def aio(url: str, count: int) -> tuple[float, float, float, float]:
    async with kaffic.aio.connect(url) as client:
        await client.create_topic("aio")
        async with client.producer("aio") as producer:
            begun = time.perf_counter()
            for _ in range(count // BATCH // 10):
                await asyncio.gather(*[producer.send_batch([VALUE] * BATCH) for _ in range(10)])
            batches = count / (time.perf_counter() - begun)
            begun = time.perf_counter()
            for _ in range(count // 10 // BATCH):
                await asyncio.gather(*[producer.send(VALUE) for _ in range(BATCH)])
            singly = count / 10 / (time.perf_counter() - begun)
        async with client.consumer("aio", until="latest") as consumer:
            begun, read = time.perf_counter(), 0
            while records := await consumer.poll_batch(BATCH):
                read += sum(len(record.value) // 100 for record in records)
            polled = read / (time.perf_counter() - begun)
        async with client.consumer("aio", until="latest") as consumer:
            begun, read = time.perf_counter(), 0
            async for record in consumer:
                read += len(record.value) // 100
            iterated = read / (time.perf_counter() - begun)
    return batches, singly, polled, iterated


def main() -> None:
    rates: dict[str, list[float]] = {}

    def note(what: str, rate: float) -> None:
        rates.setdefault(what, []).append(rate)

    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="kaffic-bench-") as directory:
            url = f"file://{directory}"
            with kaffic.connect(url) as client:
                for what, send, count in (
                    ("send_batch of values", send_batches, RECORDS),
                    ("send_batch of records with keys", send_keyed, RECORDS),
                    ("send, a tenth as many", send_singly, RECORDS // 10),
                ):
                    client.create_topic(send.__name__)
                    with client.producer(send.__name__) as producer:
                        note(what, clock(lambda send=send, count=count: send(producer, count)))
                for what, read in (("poll_batch", poll_batches), ("iteration", iterate)):
                    with client.consumer("send_batches", until="latest") as consumer:
                        note(what, clock(lambda read=read: read(consumer)))
            names = ("send_batch", "send, a tenth as many", "poll_batch", "iteration")
            for what, rate in zip(names, asyncio.run(aio(url, RECORDS)), strict=True):
                note(f"asyncio: {what}", rate)
    for what, all_ in rates.items():
        show(what, all_)


if __name__ == "__main__":
    main()
