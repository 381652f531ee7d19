"""What a scenario has made, and what its steps do: with the client of either kind, since theirs is the
same except for what is awaited.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections import defaultdict
from typing import Any

import kaffic
from scenarios import Step, header

LONG = 60.0
#: Steps whose answer has to be compared whole.
WHOLE = {"topics", "groups", "positions", "ends", "lag", "committed", "reset"}


async def done(given: Any) -> Any:
    if isinstance(given, kaffic.Delivery):
        return given.result()
    return await given if inspect.isawaitable(given) else given


def place(text: str) -> tuple[str, int]:
    topic, _, partition = text.rpartition(":")
    return topic, int(partition)


def offsets(of: dict[Any, Any]) -> dict[str, str]:
    offset = [(at, value if isinstance(value, int) else value.offset) for at, value in of.items()]
    return {f"{topic}:{partition}": str(value) for (topic, partition), value in offset}


def fields(answer: Any) -> dict[str, str]:
    def plain(value: Any) -> str:
        if isinstance(value, list):
            return str(len(value))
        return value if isinstance(value, str) else json.dumps(value)

    # Not `asdict`, which would look into lists.
    return {f.name: plain(getattr(answer, f.name)) for f in dataclasses.fields(answer)}


class World:
    def __init__(self, client: Any) -> None:
        self.client = client
        self.producers: dict[str, Any] = {}
        self.consumers: dict[str, Any] = {}
        self.owns: dict[str, set[tuple[str, int]]] = {}
        self.ahead: dict[str, list[kaffic.ConsumerRecord]] = {}

    async def take(self, step: Step) -> None:
        status = step.expects("error")
        if status is None:
            came = await self.run(step) or {}
            if step.verb != "next":
                expected = {name: (value or b"").decode() for name, value in step.expected}
                assert {name: came.get(name) for name in expected} == expected
                assert step.verb not in WHOLE or came == expected
            return
        try:
            await self.run(step)
        except kaffic.KafficError as error:
            assert error.status == status, error
            assert (step.expects("says") or "") in str(error)
            assert step.expects("tail") in (None, str(error.tail))
            assert step.expects("earliest") in (None, str(error.earliest))
        else:
            raise AssertionError("it did not fail")

    async def run(self, step: Step) -> dict[str, str] | None:
        name, verb = step.arg(0), step.verb.replace("-", "_")
        if verb in ("producer", "consumer", "share"):
            return await getattr(self, verb)(step)
        if verb == "close":
            return await done((self.consumers.get(name) or self.producers[name]).close())
        if name in self.producers:
            return await getattr(self, f"p_{verb}")(self.producers[name], step)
        if name in self.consumers:
            return await getattr(self, f"c_{verb}")(self.consumers[name], step)
        return await getattr(self, f"a_{verb}")(step)

    async def producer(self, step: Step) -> None:
        made = await done(self.client.producer(step.arg(1), **step.settings()))
        self.producers[step.arg(0)] = made

    async def consumer(self, step: Step) -> None:
        name, owns = step.arg(0), set[tuple[str, int]]()
        self.consumers[name] = await done(
            self.client.consumer(
                on_assigned=owns.update,
                on_revoked=lambda gone: owns.difference_update(gone),
                on_lost=owns.difference_update,
                **step.settings(),
            )
        )
        self.owns[name], self.ahead[name] = owns, []

    async def share(self, step: Step) -> None:
        names, wanted = [arg.decode() for arg in step.args[1:]], int(step.arg(0))
        for _ in range(600):
            for name in names:
                self.ahead[name] += await done(self.consumers[name].poll_batch(1, timeout=0.1))
            owned = [self.owns[name] for name in names]
            together = set().union(*owned)
            if all(owned) and sum(map(len, owned)) == wanted == len(together):
                return
        raise AssertionError("they did not come to share the partitions")

    async def p_send(self, producer: Any, step: Step) -> dict[str, str]:
        ack = await done(
            producer.send(
                step.value("value"),
                step.value("key"),
                headers=[header(value) for name, value in step.given if name == "header"],
                timestamp=step.number("timestamp"),
                partition=step.number("partition"),
                sequence=step.number("sequence"),
            )
        )
        return {
            "partition": str(ack.partition),
            "offset": str(ack.offset),
            "timestamp": str(ack.timestamp),
            "duplicate": str(ack.duplicate).lower(),
        }

    async def p_burst(self, producer: Any, step: Step) -> None:
        keys = step.number("keys")
        key = [f"k{n % keys}".encode() if keys else None for n in range(int(step.arg(1)))]
        for sent in [producer.send(str(n).encode(), key[n]) for n in range(len(key))]:
            await done(sent)

    async def p_append(self, producer: Any, step: Step) -> dict[str, str]:
        records = [value for name, value in step.given if name == "value"]
        ack = await done(producer.append(int(step.arg(1)), records, step.number("expected")))
        return {"offset": str(ack.offset)}

    async def p_flush(self, producer: Any, step: Step) -> None:
        await done(producer.flush())

    async def p_fence(self, producer: Any, step: Step) -> None:
        await done(producer.fence_all())

    async def p_epoch(self, producer: Any, step: Step) -> dict[str, str]:
        return {"is": str(producer.epoch).lower()}

    async def p_last(self, producer: Any, step: Step) -> dict[str, str]:
        return {"is": str(await done(producer.last_sequence(int(step.arg(1))))).lower()}

    async def c_subscribe(self, consumer: Any, step: Step) -> None:
        await done(consumer.subscribe([arg.decode() for arg in step.args[1:]]))

    async def c_pattern(self, consumer: Any, step: Step) -> None:
        await done(consumer.subscribe(pattern=step.arg(1)))

    async def c_assign(self, consumer: Any, step: Step) -> None:
        wanted = []
        for arg in step.args[1:]:
            at, _, offset = arg.decode().partition("@")
            wanted.append((*place(at), int(offset) if offset else None))
        await done(consumer.assign(wanted))

    async def c_seek(self, consumer: Any, step: Step) -> None:
        await done(consumer.seek(*place(step.arg(1)), step.arg(2)))

    async def c_pause(self, consumer: Any, step: Step) -> None:
        await done(consumer.pause([place(step.arg(1))]))

    async def c_resume(self, consumer: Any, step: Step) -> None:
        await done(consumer.resume([place(step.arg(1))]))

    async def c_positions(self, consumer: Any, step: Step) -> dict[str, str]:
        return offsets(await done(consumer.positions()))

    async def c_ends(self, consumer: Any, step: Step) -> dict[str, str]:
        return offsets(await done(consumer.end_offsets()))

    async def c_lag(self, consumer: Any, step: Step) -> dict[str, str]:
        return offsets(await done(consumer.lag()))

    async def c_committed(self, consumer: Any, step: Step) -> dict[str, str]:
        return offsets(await done(consumer.committed()))

    async def c_commit(self, consumer: Any, step: Step) -> None:
        given = {place(at): int(offset) for at, offset in step.given}
        await done(consumer.commit(given or None))

    async def next_of(self, step: Step) -> kaffic.ConsumerRecord:
        ahead = self.ahead[step.arg(0)]
        record = ahead.pop(0) if ahead else await done(self.consumers[step.arg(0)].poll(LONG))
        assert record is not None, "no record came"
        return record

    async def c_next(self, consumer: Any, step: Step) -> None:
        record = await self.next_of(step)
        headers = [header(value or b"") for name, value in step.expected if name == "header"]
        assert not headers or record.headers == headers
        for name, value in step.expected:
            if name == "null":
                assert getattr(record, (value or b"").decode()) is None
            elif name == "headers":
                assert len(record.headers) == int(value or b"")
            elif name != "header":
                came = getattr(record, name)
                assert (came if isinstance(came, bytes) else str(came).encode()) == value, name

    async def c_values(self, consumer: Any, step: Step) -> None:
        assert [(await self.next_of(step)).value for _ in step.args[1:]] == step.args[1:]

    async def c_count(self, consumer: Any, step: Step) -> None:
        last: dict[tuple[str, int], int] = {}
        for _ in range(int(step.arg(1))):
            record = await self.next_of(step)
            assert last.get((record.topic, record.partition), -1) < record.offset
            last[record.topic, record.partition] = record.offset

    async def c_ordered(self, consumer: Any, step: Step) -> None:
        count, keys, of_key = int(step.arg(1)), int(step.arg(2)), defaultdict(list)
        for _ in range(count):
            record = await self.next_of(step)
            of_key[record.key].append(int(record.value or b""))
        expected = {f"k{key}".encode(): list(range(key, count, keys)) for key in range(keys)}
        assert of_key == expected

    async def c_finished(self, consumer: Any, step: Step) -> None:
        for _ in range(100):
            assert await done(consumer.poll(LONG)) is None and not self.ahead[step.arg(0)]
            if await done(consumer.is_finished()):
                return
        raise AssertionError("it is not finished")

    async def c_quiet(self, consumer: Any, step: Step) -> None:
        assert await done(consumer.poll(0.2)) is None

    async def a_create(self, step: Step) -> None:
        await done(self.client.create_topic(step.arg(0), **step.settings()))

    async def a_alter(self, step: Step) -> None:
        await done(self.client.alter_topic(step.arg(0), **step.settings()))

    async def a_delete(self, step: Step) -> None:
        await done(self.client.delete_topic(step.arg(0)))

    async def a_topics(self, step: Step) -> dict[str, str]:
        return {topic.name: "" for topic in await done(self.client.list_topics())}

    async def a_topic(self, step: Step) -> dict[str, str]:
        return fields(await done(self.client.describe_topic(step.arg(0))))

    async def a_groups(self, step: Step) -> dict[str, str]:
        return {group.name: "" for group in await done(self.client.list_groups())}

    async def a_group(self, step: Step) -> dict[str, str]:
        group = await done(self.client.describe_group(step.arg(0)))
        at = {(p.topic, p.partition): p.committed for p in group.partitions}
        held = {place: offset for place, offset in at.items() if offset is not None}
        return offsets(held) | {"members": str(len(group.members))}

    async def a_commit_group(self, step: Step) -> None:
        given = {place(at): int(offset) for at, offset in step.given}
        await done(self.client.commit_group(step.arg(0), given))

    async def a_reset(self, step: Step) -> dict[str, str]:
        return offsets(await done(self.client.reset_group(step.arg(0), step.arg(1), step.arg(2))))

    async def a_delete_group(self, step: Step) -> None:
        await done(self.client.delete_group(step.arg(0)))

    async def a_offset(self, step: Step) -> dict[str, str]:
        at = await done(self.client.offset(step.arg(0), int(step.arg(1)), step.arg(2)))
        return {"is": str(at)}

    async def a_verify(self, step: Step) -> dict[str, str]:
        return fields(await done(self.client.verify(step.arg(0))))

    async def a_compact(self, step: Step) -> dict[str, str]:
        return fields(await done(self.client.compact(step.arg(0))))

    async def a_trim(self, step: Step) -> dict[str, str]:
        return fields(await done(self.client.trim(step.arg(0), **step.settings())))
