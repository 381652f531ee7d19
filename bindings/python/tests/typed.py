"""A program as users type theirs: checked, and never run."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import kaffic
import kaffic.aio


def threads(client: kaffic.Client) -> list[bytes | None]:
    topic: kaffic.Topic = client.create_topic("t", partitions=3, retention=timedelta(days=7))
    with client.producer(topic.name, linger="5ms") as producer:
        delivery: kaffic.Delivery = producer.send(bytearray(b"v"), key=memoryview(b"k"), headers={"a": None})
        ack: kaffic.Ack = delivery.result(timeout=timedelta(seconds=5))
        error: kaffic.KafficError | None = delivery.exception(5)
        acks: list[kaffic.Ack] = producer.send_batch([b"v", None, kaffic.Record(b"v")]).result()
        producer.append(ack.partition, [b"v"], expected_offset=len(acks))
        print(error)
    values: list[bytes | None] = []
    start = datetime(2026, 1, 31, tzinfo=timezone.utc)
    with client.consumer(["t"], group="g", start=start, on_revoked=lambda at: None) as consumer:
        for record in consumer:
            when: datetime = record.datetime
            values.append(record.value)
            consumer.commit(record)
            consumer.commit({("t", 0): record.offset + 1})
            print(when, record.value_view, record.headers[0][0].upper())
        one: kaffic.ConsumerRecord | None = consumer.poll(timeout=0.5)
        many: list[kaffic.ConsumerRecord] = consumer.poll_batch(100)
        lag: int = sum(consumer.lag().values())
        print(one, many, lag)
    return values


async def loop() -> int:
    async with kaffic.aio.connect("memory://", region="eu") as client:
        producer: kaffic.aio.Producer = await client.producer("t")
        sent: asyncio.Future[kaffic.Ack] = producer.send(b"v")
        ack: kaffic.Ack = await sent
        async with client.consumer("t") as consumer:
            async for record in consumer:
                print(record.key)
        group: kaffic.Group = await client.describe_group("g")
        return ack.offset + group.generation
