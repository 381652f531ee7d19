"""A Kafka client's opinion of kaffic's stored bytes.

aiokafka shares no code with kaffic and reads and writes the same record batches, so where the two
agree the format is Kafka's and not merely consistent with itself.

    kafka.py --make DIR    write batches and chosen partitions for kaffic to compare with
    kafka.py --check DIR   read the slots that kaffic wrote there and compare
    kafka.py --store DIR   read every slot and segment of a file:// store; one JSON line a record
"""

import argparse
import json
import pathlib
import random
import struct
import sys

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
KEYS = 10_000

SLOT = struct.Struct(">4sBBBBqIIqqQqIIqqqII")
SLOT_FIELDS = (
    "magic version kind flags zero base_offset record_count batch_len max_timestamp append_time "
    "nonce producer_id producer_epoch lease_ms sequence app_sequence opened reserved crc"
).split()
BATCH_PREFIX_LEN = 21
# The base offset and the length, which the length does not count.
LENGTH_END = 12


class Wrong(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Wrong(what)


def read_slot(data):
    """The fields of a slot's header, checked, and its batch (empty for a seal or fence)."""
    expect(len(data) >= SLOT.size, "slot is cut short")
    slot = dict(zip(SLOT_FIELDS, SLOT.unpack_from(data)))
    batch = data[SLOT.size :]
    expect(slot["magic"] == b"KAFC" and slot["version"] == 1, "not a slot of version 1")
    expect(slot["zero"] == slot["reserved"] == 0, "reserved bytes are not 0")
    expect(slot["batch_len"] == len(batch), "batch has another length")
    covered = data[: SLOT.size - 4] + batch[:BATCH_PREFIX_LEN]
    expect(calc_crc32c(covered) == slot["crc"], "slot header has another checksum")
    return slot, batch


def read_batches(data):
    """The batches of a Kafka log segment, which one slot's batch is too."""
    while data:
        expect(len(data) >= LENGTH_END, "batch is cut short")
        (length,) = struct.unpack_from(">i", data, 8)
        batch = DefaultRecordBatch(data[: LENGTH_END + length])
        expect(batch.validate_crc(), "batch has another checksum")
        yield batch
        data = data[LENGTH_END + length :]


def as_hex(data):
    return None if data is None else bytes(data).hex()


def as_json(record):
    return {
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": as_hex(record.key),
        "value": as_hex(record.value),
        "headers": [[name, as_hex(value)] for name, value in record.headers],
    }


def slot_records(data):
    """The header, batch and records of a slot, which must go together."""
    slot, data = read_slot(data)
    batches = list(read_batches(data))
    expect(len(batches) == (slot["record_count"] > 0), "not one batch")
    if not batches:
        return slot, None, []
    (batch,) = batches
    records = [as_json(record) for record in batch]
    expect(batch.base_offset == slot["base_offset"], "batch has another base offset")
    expect(batch.producer_id == slot["producer_id"], "batch has another producer")
    offsets = [record["offset"] for record in records]
    first = slot["base_offset"]
    expect(offsets == list(range(first, first + slot["record_count"])), "offsets have gaps")
    return slot, batch, records


def check(directory):
    """Compares every slot that kaffic wrote with what it says is in it."""
    slots = sorted(directory.glob("*.slot"))
    expect(slots, f"no slots in {directory}")
    for path in slots:
        expected = json.loads(path.with_suffix(".json").read_text())
        try:
            _, batch, records = slot_records(path.read_bytes())
            expect(records == expected.pop("records"), "records differ")
            for field, value in expected.items():
                expect(getattr(batch, field) == value, f"{field} differs")
        except Wrong as wrong:
            raise Wrong(f"{path.name}: {wrong}") from None
    print(f"aiokafka reads {len(slots)} slots as kaffic meant them")


def some_records(chance):
    def some_bytes():
        return chance.choice([None, b"", chance.randbytes(chance.randrange(1, 300))])

    for _ in range(chance.randrange(1, 200)):
        names = ["", "name", "name", "имя"][: chance.randrange(5)]
        headers = [(name, some_bytes()) for name in names]
        yield chance.randrange(-(2**40), 2**41), some_bytes(), some_bytes(), headers


def build_batch(codec, records):
    """A batch as aiokafka's producer makes it, and what is in it."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=2**40,
        producer_epoch=4,
        base_sequence=17,
        batch_size=1 << 30,
    )
    case = {"producer_id": 2**40, "producer_epoch": 4, "base_sequence": 17, "records": []}
    for offset, (timestamp, key, value, headers) in enumerate(records):
        builder.append(offset, timestamp, key, value, headers)
        case["records"].append(
            {
                "offset": offset,
                "timestamp": timestamp,
                "key": as_hex(key),
                "value": as_hex(value),
                "headers": [[name, as_hex(value)] for name, value in headers],
            }
        )
    return bytes(builder.build()), case


def make(directory, seed):
    """Writes batches in every codec, and the partitions of many keys."""
    chance = random.Random(seed)
    for name, codec in CODECS.items():
        large = [(1, b"large", chance.randbytes(1 << 20) * 3, [])]
        for number, records in enumerate([large, *(some_records(chance) for _ in range(10))]):
            batch, case = build_batch(codec, records)
            path = directory / f"aiokafka-{name}-{number}"
            path.with_suffix(".batch").write_bytes(batch)
            path.with_suffix(".json").write_text(json.dumps(case))

    partitioner = DefaultPartitioner()
    keys = []
    for _ in range(KEYS):
        key, count = chance.randbytes(chance.randrange(40)), chance.randrange(1, 1000)
        partition = partitioner(key, list(range(count)), None)
        keys.append({"key": key.hex(), "partitions": count, "partition": partition})
    (directory / "partitions.json").write_text(json.dumps(keys))
    print(f"aiokafka wrote its cases, seed {seed}")


def print_store(directory):
    """Reads everything under data/: slots, and the segments that joined them."""
    objects = records = 0
    for path in sorted(p for p in (directory / "data").rglob("*") if p.is_file()):
        name = path.relative_to(directory).as_posix()
        data = path.read_bytes()
        try:
            if data.startswith(b"KAFC"):
                found = slot_records(data)[2]
            else:
                found = [as_json(record) for batch in read_batches(data) for record in batch]
        except Wrong as wrong:
            raise Wrong(f"{name}: {wrong}") from None
        for record in found:
            print(json.dumps({"object": name} | record, ensure_ascii=False))
        objects += 1
        records += len(found)
    print(f"{records} records in {objects} objects", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--make", type=pathlib.Path, metavar="DIR")
    what.add_argument("--check", type=pathlib.Path, metavar="DIR")
    what.add_argument("--store", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    try:
        if options.make:
            make(options.make, options.seed)
        elif options.check:
            check(options.check)
        else:
            print_store(options.store)
    except Wrong as wrong:
        sys.exit(f"kafka.py: {wrong}")


if __name__ == "__main__":
    main()
