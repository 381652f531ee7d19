"""Half of a comparison between languages: what one of them produces, each of them has to read alike.

    python matrix.py produce URL TOPIC
    python matrix.py check URL TOPIC

Options of the store come from KAFFIC_TEST_OPTIONS (key=value,key=value). The topic exists already.
"""

from __future__ import annotations

import os
import sys

import kaffic

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
BIG = bytes((i * 31 + 7) % 251 for i in range(251)) * (5 * 1024 * 1024 // 251 + 1)
HEADERS: list[tuple[str, bytes | None]] = [("a", b"1"), ("ü", None), ("a", b"")]
RECORDS = [
    kaffic.Record(None, partition=0),
    kaffic.Record(b"", b"", partition=0),
    kaffic.Record(None, b"k", partition=0),
    kaffic.Record(b"v", partition=0),
    kaffic.Record("grüßt 🦀".encode(), b"\x00\xff\n", headers=HEADERS, timestamp=1234567890123, partition=0),
    kaffic.Record(BIG[: 5 * 1024 * 1024], b"big", partition=0),
    kaffic.Record(b"", b"zero", partition=0),
]


def produce(client: kaffic.Client, topic: str) -> None:
    for codec in CODECS:
        with client.producer(topic, compression=codec) as producer:
            producer.send_batch(RECORDS).result()


def check(client: kaffic.Client, topic: str) -> None:
    with client.consumer(partitions=[(topic, 0)], start="earliest", until="latest") as consumer:
        came = list(consumer)
    if len(came) != len(CODECS) * len(RECORDS):
        sys.exit(f"{len(came)} records")
    for number, record in enumerate(came):
        wanted = RECORDS[number % len(RECORDS)]
        same = (record.key, record.value, record.headers) == (wanted.key, wanted.value, wanted.headers)
        if not same or wanted.timestamp not in (None, record.timestamp) or record.offset != number:
            sys.exit(f"record {number} is another: {record!r}, not {wanted!r}")
    print(f"{len(came)} records, as they should be")


if __name__ == "__main__":
    does, url, topic = sys.argv[1:]
    given = os.environ.get("KAFFIC_TEST_OPTIONS", "")
    options = dict(option.split("=", 1) for option in given.split(",") if option)
    with kaffic.connect(url, **options) as client:
        {"produce": produce, "check": check}[does](client, topic)
