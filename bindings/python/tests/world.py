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


def given_offsets(step: Step) -> dict[tuple[str, int], int]:
    return {place(at): int(offset) for at, offset in step.given}


def offsets(of: dict[Any, Any]) -> dict[str, str]:
    offset = [(at, value if isinstance(value, int) else value.offset) for at, value in of.items()]
    return {f"{topic}:{partition}": str(value) for (topic, partition), value in offset}


def plain(value: Any) -> str:
    if isinstance(value, list):
        return str(len(value))
    return value if isinstance(value, str) else json.dumps(value)


def fields(answer: Any) -> dict[str, str]:
    # Not `asdict`, which would look into lists.
    return {f.name: plain(getattr(answer, f.name)) for f in dataclasses.fields(answer)}


def names(answers: list[Any]) -> dict[str, str]:
    return {answer.name: "" for answer in answers}


def group(answer: kaffic.Group) -> dict[str, str]:
    at = {(p.topic, p.partition): p.committed for p in answer.partitions}
    held = {place: offset for place, offset in at.items() if offset is not None}
    return offsets(held) | {"members": str(len(answer.members))}


def alone(answer: Any) -> dict[str, str]:
    return {"is": str(answer).lower()}


def nothing(_: Any) -> None:
    return None


def assigned(step: Step) -> list[tuple[str, int, int | None]]:
    parts = [arg.decode().partition("@") for arg in step.args[1:]]
    return [(*place(at), int(offset) if offset else None) for at, _, offset in parts]


def send(producer: Any, step: Step) -> Any:
    return producer.send(
        step.value("value"),
        step.value("key"),
        headers=[header(value) for name, value in step.given if name == "header"],
        timestamp=step.number("timestamp"),
        partition=step.number("partition"),
        sequence=step.number("sequence"),
    )


def append(producer: Any, step: Step) -> Any:
    records = [value for name, value in step.given if name == "value"]
    return producer.append(int(step.arg(1)), records, step.number("expected"))


#: What a step calls, and what its answer comes to.
PRODUCER = {
    "send": (send, lambda ack: {f: plain(getattr(ack, f)) for f in ("partition", "offset", "timestamp", "duplicate")}),
    "append": (append, lambda ack: {"offset": str(ack.offset)}),
    "flush": (lambda p, _: p.flush(), nothing),
    "fence": (lambda p, _: p.fence_all(), nothing),
    "epoch": (lambda p, _: p.epoch, alone),
    "last": (lambda p, step: p.last_sequence(int(step.arg(1))), alone),
}
CONSUMER = {
    "subscribe": (lambda c, step: c.subscribe([arg.decode() for arg in step.args[1:]]), nothing),
    "pattern": (lambda c, step: c.subscribe(pattern=step.arg(1)), nothing),
    "assign": (lambda c, step: c.assign(assigned(step)), nothing),
    "seek": (lambda c, step: c.seek(*place(step.arg(1)), step.arg(2)), nothing),
    "pause": (lambda c, step: c.pause([place(step.arg(1))]), nothing),
    "resume": (lambda c, step: c.resume([place(step.arg(1))]), nothing),
    "positions": (lambda c, _: c.positions(), offsets),
    "ends": (lambda c, _: c.end_offsets(), offsets),
    "lag": (lambda c, _: c.lag(), offsets),
    "committed": (lambda c, _: c.committed(), offsets),
    "commit": (lambda c, step: c.commit(given_offsets(step) or None), nothing),
}
ADMIN = {
    "create": (lambda k, step: k.create_topic(step.arg(0), **step.settings()), nothing),
    "alter": (lambda k, step: k.alter_topic(step.arg(0), **step.settings()), nothing),
    "delete": (lambda k, step: k.delete_topic(step.arg(0)), nothing),
    "topics": (lambda k, _: k.list_topics(), names),
    "topic": (lambda k, step: k.describe_topic(step.arg(0)), fields),
    "groups": (lambda k, _: k.list_groups(), names),
    "group": (lambda k, step: k.describe_group(step.arg(0)), group),
    "commit-group": (lambda k, step: k.commit_group(step.arg(0), given_offsets(step)), nothing),
    "reset": (lambda k, step: k.reset_group(step.arg(0), step.arg(1), step.arg(2)), offsets),
    "delete-group": (lambda k, step: k.delete_group(step.arg(0)), nothing),
    "offset": (lambda k, step: k.offset(step.arg(0), int(step.arg(1)), step.arg(2)), alone),
    "verify": (lambda k, step: k.verify(step.arg(0)), fields),
    "compact": (lambda k, step: k.compact(step.arg(0)), fields),
    "trim": (lambda k, step: k.trim(step.arg(0), **step.settings()), fields),
}


class World:
    def __init__(self, client: Any) -> None:
        self.client = client
        self.made: dict[str, Any] = {}
        self.owns: dict[str, set[tuple[str, int]]] = {}
        #: Records that were polled and not yet asked for.
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
        handle = self.made.get(step.arg(0))
        own = getattr(self, f"do_{step.verb}", None)
        if own is not None:
            return await own(handle, step)
        if step.verb == "close":
            return await done(handle.close())
        table = CONSUMER if step.arg(0) in self.ahead else ADMIN if handle is None else PRODUCER
        does, comes = table[step.verb]
        return comes(await done(does(handle or self.client, step)))

    async def do_producer(self, _: None, step: Step) -> None:
        made = self.client.producer(step.arg(1), **step.settings())
        self.made[step.arg(0)] = await done(made)

    async def do_consumer(self, _: None, step: Step) -> None:
        name, owns = step.arg(0), set[tuple[str, int]]()
        made = self.client.consumer(
            on_assigned=owns.update,
            on_revoked=owns.difference_update,
            on_lost=owns.difference_update,
            **step.settings(),
        )
        self.made[name], self.owns[name], self.ahead[name] = await done(made), owns, []

    async def do_share(self, _: None, step: Step) -> None:
        members, wanted = [arg.decode() for arg in step.args[1:]], int(step.arg(0))
        for _ in range(600):
            for name in members:
                self.ahead[name] += await done(self.made[name].poll_batch(1, timeout=0.1))
            owned = [self.owns[name] for name in members]
            if all(owned) and sum(map(len, owned)) == wanted == len(set().union(*owned)):
                return
        raise AssertionError("they did not come to share the partitions")

    async def do_burst(self, producer: Any, step: Step) -> None:
        keys = step.number("keys")
        key = [f"k{n % keys}".encode() if keys else None for n in range(int(step.arg(1)))]
        for sent in [producer.send(str(n).encode(), key[n]) for n in range(len(key))]:
            await done(sent)

    async def record(self, consumer: Any, step: Step) -> kaffic.ConsumerRecord:
        ahead = self.ahead[step.arg(0)]
        record = ahead.pop(0) if ahead else await done(consumer.poll(LONG))
        assert record is not None, "no record came"
        return record

    async def do_next(self, consumer: Any, step: Step) -> None:
        record = await self.record(consumer, step)
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

    async def do_values(self, consumer: Any, step: Step) -> None:
        came = [(await self.record(consumer, step)).value for _ in step.args[1:]]
        assert came == step.args[1:]

    async def do_count(self, consumer: Any, step: Step) -> None:
        last: dict[tuple[str, int], int] = {}
        for _ in range(int(step.arg(1))):
            record = await self.record(consumer, step)
            assert last.get((record.topic, record.partition), -1) < record.offset
            last[record.topic, record.partition] = record.offset

    async def do_ordered(self, consumer: Any, step: Step) -> None:
        count, keys, of_key = int(step.arg(1)), int(step.arg(2)), defaultdict(list)
        for _ in range(count):
            record = await self.record(consumer, step)
            of_key[record.key].append(int(record.value or b""))
        assert of_key == {f"k{key}".encode(): [*range(key, count, keys)] for key in range(keys)}

    async def do_finished(self, consumer: Any, step: Step) -> None:
        for _ in range(100):
            assert await done(consumer.poll(LONG)) is None and not self.ahead[step.arg(0)]
            if await done(consumer.is_finished()):
                return
        raise AssertionError("it is not finished")

    async def do_quiet(self, consumer: Any, step: Step) -> None:
        assert await done(consumer.poll(0.2)) is None
