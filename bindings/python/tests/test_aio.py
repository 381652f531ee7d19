"""What asyncio is about: cancelling, many at once, loops that end."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

import kaffic
import kaffic.aio

Play = Callable[[Callable[[kaffic.aio.Client], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def play(url: str, options: dict[str, str]) -> Play:
    def run(test: Callable[[kaffic.aio.Client], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            async with kaffic.aio.connect(url, **options) as client:
                await client.ensure_topic("t", partitions=2)
                return await test(client)

        return asyncio.run(main())

    return run


async def fill(client: kaffic.aio.Client, count: int) -> None:
    async with client.producer("t") as producer:
        await producer.send_batch([kaffic.Record(b"%d" % n, partition=0) for n in range(count)])


@asynccontextmanager
async def waiting(consumer: kaffic.aio.Consumer) -> AsyncIterator[asyncio.Task[Any]]:
    task = asyncio.create_task(consumer.poll())
    await asyncio.sleep(0)
    yield task
    task.cancel()


@pytest.mark.parametrize("name", ["Client", "Producer", "Consumer"])
def test_the_twins_have_the_same_names_and_arguments(name: str) -> None:
    ours, theirs = getattr(kaffic, name), getattr(kaffic.aio, name)

    def public(of: type) -> dict[str, list[tuple[str, object]]]:
        calls = {n: getattr(of, n) for n in dir(of) if not n.startswith("_") and callable(getattr(of, n))}
        return {
            n: [(p.name, p.default) for p in inspect.signature(call).parameters.values()]
            for n, call in calls.items()
        }

    assert public(ours) == public(theirs)


def test_sends_keep_the_order_of_the_calls_also_beyond_the_buffer(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        async with client.producer("t", max_in_flight_bytes="8KiB") as producer:
            sends = [producer.send(b"%d" % n * 500, partition=0) for n in range(300)]
            acks = await asyncio.gather(*sends)
        assert [ack.offset for ack in acks] == list(range(300))

    play(test)


def test_flushing_and_closing_cover_what_waits_for_room(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        value = b"v" * 1500
        async with client.producer("t", max_in_flight_bytes="4KiB") as producer:
            sends = [producer.send(value, partition=0) for _ in range(50)]
            await producer.flush()
            assert await client.offset("t", 0) == 50
            sends += [producer.send(value, partition=0) for _ in range(50)]
            assert (await producer.append(0, [b"a"])).offset == 100
            for _ in range(50):
                sends.append(producer.send(value, partition=0))
        assert await client.offset("t", 0) == 151
        acks = await asyncio.gather(*sends)
        assert [ack.offset for ack in acks] == [*range(100), *range(101, 151)]

    play(test)


def test_on_delivery_is_called_with_the_future(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        seen: asyncio.Queue[Any] = asyncio.Queue()
        async with client.producer("t") as producer:
            sent = producer.send(b"v", on_delivery=seen.put_nowait)
            assert await seen.get() is sent and sent.result().offset == 0
            with pytest.raises(kaffic.InvalidArgument):
                await producer.send(b"v", partition=7)

    play(test)


def test_flushing_and_closing_wait_for_futures_and_their_callbacks(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        seen: list[Any] = []
        async with client.producer("t") as producer:
            sends = [producer.send(b"v", on_delivery=seen.append) for _ in range(200)]
            batch = producer.send_batch([b"v"] * 3)
            await producer.flush()
            assert batch.done() and all(sent.done() for sent in sends) and len(seen) == 200
            last = producer.send(b"v", on_delivery=seen.append)
        assert last.done() and seen[200:] == [last]

    play(test)


def test_a_batch_that_fails_tells_of_each_record(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        async with client.producer("t", max_record_bytes="1KiB") as producer:
            with pytest.raises(kaffic.RecordTooLarge) as caught:
                await producer.send_batch([kaffic.Record(b"v", partition=0), b"x" * 2000, None])
            first, second, third = caught.value.outcomes or []
            assert first.offset == 0 and isinstance(second, kaffic.RecordTooLarge)
            assert isinstance(third, kaffic.Ack)
            assert len(pickle.loads(pickle.dumps(caught.value)).outcomes) == 3

    play(test)


def test_a_cancelled_send_is_sent(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        async with client.producer("t") as producer:
            producer.send(b"v", partition=0).cancel()
        assert await client.offset("t", 0) == 1

    play(test)


def test_a_cancelled_poll_loses_nothing(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        await fill(client, 400)
        seen = []
        async with client.consumer("t", group="g", auto_commit="never") as consumer:
            for turn in range(100_000):
                poll = asyncio.ensure_future(consumer.poll_batch(7))
                # It may be under way, done and not told of, or told of: all are met.
                for _ in range(turn % 4):
                    await asyncio.sleep(0)
                poll.cancel()
                seen += await asyncio.wait_for(outcome(poll), 30)
                if turn % 7 == 0:
                    await consumer.commit()
                    position = (await consumer.positions()).get(("t", 0), 0)
                    assert position == len(seen)
                if len(seen) == 400:
                    break
                await asyncio.sleep(0.0002 * (turn % 3))
            await consumer.commit()
        assert seen == list(range(400))
        assert (await client.committed_of_group("g"))[("t", 0)].offset == 400

    async def outcome(poll: asyncio.Future[list[kaffic.ConsumerRecord]]) -> list[int]:
        try:
            return [record.offset for record in await poll]
        except asyncio.CancelledError:
            return []

    play(test)


def test_a_poll_that_nobody_took_is_not_committed(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        await fill(client, 20)
        async with client.consumer("t", group="g", auto_commit="never") as consumer:
            assert (await consumer.poll(30)).offset == 0
            # The runtime has the records; nobody waits for them any more.
            assert await consumer._inner.ready(consumer._bridge, None)
            await consumer.commit()
            assert (await consumer.committed())[("t", 0)].offset == 1
            assert (await consumer.positions())[("t", 0)] == 1
            assert [r.offset for r in await consumer.poll_batch(5, timeout=30)] == [1, 2, 3, 4, 5]
            assert (await consumer.poll(30)).offset == 6
        assert (await client.committed_of_group("g"))[("t", 0)].offset == 1

    play(test)


def test_wait_for_ends_a_poll_and_the_next_goes_on(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        async with client.consumer("t") as consumer:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(consumer.poll(), 0.05)
            await fill(client, 1)
            assert (await asyncio.wait_for(anext(consumer), 30)).value == b"0"

    play(test)


def test_others_have_their_turn_while_records_are_there(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        await fill(client, 1000)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        async with client.consumer("t", until="latest") as consumer:
            seen = [(int(record.value or b""), turns) async for record in consumer]
        task.cancel()
        assert [value for value, _ in seen] == list(range(1000))
        assert max(Counter(at for _, at in seen).values()) <= 64

    play(test)


def test_other_calls_and_closing_while_a_poll_waits(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        consumer = await client.consumer("t")
        async with waiting(consumer) as poll:
            assert len(await consumer.positions()) == 2
            consumer.wakeup()
            with pytest.raises(kaffic.Interrupted):
                await poll
        await fill(client, 2)
        with pytest.raises(kaffic.Interrupted):
            async for _ in consumer:
                consumer.wakeup()
        assert len(await consumer.poll_batch(timeout=30)) == 1
        async with waiting(consumer) as poll:
            await consumer.close()
            with pytest.raises(kaffic.Closed):
                await poll

    play(test)


def test_callbacks_are_on_the_loop(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        await fill(client, 1)
        told: list[tuple[str, dict[Any, int], Any]] = []

        def tell(what: str) -> Callable[[Any], None]:
            return lambda at: told.append((what, dict(at), asyncio.get_running_loop()))

        callbacks = {f"on_{what}": tell(what) for what in ("assigned", "revoked", "lost")}
        async with client.consumer("t", group="g", **callbacks) as consumer:
            assert (await consumer.poll(30)).value == b"0"
            # Also where a record is taken without waiting.
            async with client.consumer("t", group="h", **callbacks) as other:
                assert (await anext(other)).value == b"0"
        loop = asyncio.get_running_loop()
        assert {what for what, _, _ in told} == {"assigned", "revoked"}
        assert all(on is loop for _, _, on in told)

    play(test)


def test_leaving_by_an_exception_gives_the_last_record_again(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        await fill(client, 3)
        with pytest.raises(ZeroDivisionError):
            async with client.consumer("t", group="g") as consumer:
                async for record in consumer:
                    if record.value == b"1":
                        1 / 0
        assert (await client.committed_of_group("g"))[("t", 0)].offset == 1

    play(test)


def test_leaving_the_clients_block_by_an_exception_gives_it_again_too(url, options) -> None:
    async def leaves() -> None:
        async with kaffic.aio.connect(url, **options) as client:
            await client.ensure_topic("t")
            await fill(client, 3)
            kept.append(await client.consumer("t", group="g"))
            assert [(await anext(kept[0])).offset for _ in range(2)] == [0, 1]
            1 / 0

    async def after() -> int:
        async with kaffic.aio.connect(url, **options) as client:
            return (await client.committed_of_group("g"))[("t", 0)].offset

    kept: list[kaffic.aio.Consumer] = []
    with pytest.raises(ZeroDivisionError):
        asyncio.run(leaves())
    assert kept[0].closed and asyncio.run(after()) == 1


async def cancelled(call: Coroutine[Any, Any, None], after: int) -> None:
    task = asyncio.ensure_future(call)
    for _ in range(after):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("turns", [1, 2, 3, 4])
def test_closing_goes_on_after_it_was_cancelled(url, options, turns) -> None:
    async def test() -> None:
        async with kaffic.aio.connect(url, **options) as client:
            await client.ensure_topic("t")
            await fill(client, 3)
        client = await kaffic.aio.connect(url, **options)
        producer, consumer = await client.producer("t"), await client.consumer("t", group="g")
        assert [(await anext(consumer)).offset for _ in range(2)] == [0, 1]
        # Left by an exception, and that was cut short.
        await cancelled(consumer._close(None, unfinished=True), turns)
        await cancelled(client.close(), turns)
        await client.close()
        assert producer.closed and consumer.closed
        async with kaffic.aio.connect(url, **options) as client:
            assert (await client.committed_of_group("g"))[("t", 0)].offset == 1
            assert not (await client.describe_group("g")).members

    asyncio.run(test())


def test_what_ends_programs_ends_the_loop_and_the_rest_is_told(play) -> None:
    async def test(client: kaffic.aio.Client) -> None:
        await fill(client, 1)

        def end(at: object) -> None:
            raise SystemExit(7)

        async with client.consumer("t", group="g", on_assigned=end) as consumer:
            await consumer.poll(30)

    with pytest.raises(SystemExit) as ended:
        play(test)
    assert ended.value.code == 7


def test_a_loop_that_ends_with_work_under_way_harms_nothing(url, options) -> None:
    async def left() -> None:
        client = await kaffic.aio.connect(url, **options)
        await client.ensure_topic("t")
        producer = await client.producer("t", linger="50ms")
        consumer = await client.consumer("t")
        producer.send(b"v")
        asyncio.ensure_future(consumer.poll())
        producer._closed = consumer._closed = True

    for _ in range(10):
        asyncio.run(left())

    async def after() -> int:
        async with kaffic.aio.connect(url, **options) as client, client.consumer("t") as consumer:
            return len(await consumer.poll_batch(1, timeout=30))

    assert asyncio.run(after()) == 1
