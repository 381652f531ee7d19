"""A consumer in Python's manner."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from datetime import datetime, timezone

import pytest

import kaffic


@pytest.fixture
def topic(client: kaffic.Client) -> str:
    client.create_topic("t", partitions=2)
    return "t"


def fill(client: kaffic.Client, values: list[bytes], partition: int = 0) -> None:
    """In one batch, so that they come together."""
    with client.producer("t") as producer:
        producer.append(partition, [kaffic.Record(value, timestamp=1000 + n) for n, value in enumerate(values)])


def committed(client: kaffic.Client, partition: int = 0) -> int | None:
    at = client.committed_of_group("g").get(("t", partition))
    return None if at is None else at.offset


def test_iterating_ends_when_all_is_read(client, topic) -> None:
    fill(client, [b"a", b"b"])
    with client.consumer(topic, until="latest") as consumer:
        assert [record.value for record in consumer] == [b"a", b"b"]
        assert consumer.is_finished() and list(consumer) == []
        with pytest.raises(StopIteration):
            next(consumer)


def test_a_record_is_a_value(client, topic) -> None:
    fill(client, [b"a" * 100, b"b"])
    with client.consumer(topic) as consumer:
        long, short = next(consumer), next(consumer)
    assert short == kaffic.ConsumerRecord("t", 0, 1, 1001, None, b"b") and short != long
    assert pickle.loads(pickle.dumps(short)) == short
    assert repr(short) == (
        'ConsumerRecord(topic="t", partition=0, offset=1, timestamp=1001, key=None, value=b"b", headers=0)'
    )
    assert "<100 bytes>" in repr(long)
    with pytest.raises(AttributeError):
        short.offset = 7
    assert not hasattr(short, "__dict__")
    view = long.value_view
    assert view == b"a" * 100 and view.readonly and long.key_view is None
    del long
    assert bytes(view[:3]) == b"aaa"


def test_a_poll_has_a_time(client, topic) -> None:
    with client.consumer(topic) as consumer:
        assert consumer.poll(timeout=0) is None
        assert consumer.poll_batch(10, timeout=0.01) == []
        with pytest.raises(TypeError):
            consumer.poll("soon")
        with pytest.raises(ValueError):
            consumer.poll(float("nan"))
        assert consumer.poll_batch(0) == []


def test_where_to_start_may_be_a_time(client, topic) -> None:
    fill(client, [b"a", b"b", b"c"])
    when = datetime.fromtimestamp(1.001, timezone.utc)
    with client.consumer(topic, start=when, until="latest") as consumer:
        assert [record.value for record in consumer] == [b"b", b"c"]
        assert client.offset("t", 0, when) == 1
    with client.consumer(topic) as consumer:
        for to in (when, 1, "offset:1"):
            consumer.seek("t", 0, to)
            assert consumer.poll(30).offset == 1


def test_other_threads_have_their_turn_while_a_poll_waits(client, topic) -> None:
    consumer = client.consumer(topic)
    came = []
    thread = threading.Thread(target=lambda: came.append(consumer.poll()))
    thread.start()
    for _ in range(20):
        assert len(consumer.positions()) == 2
    fill(client, [b"v"])
    thread.join(30)
    assert came[0].value == b"v"
    ended = []

    def wait() -> None:
        for wanted in (kaffic.Interrupted, kaffic.Closed):
            with pytest.raises(wanted):
                consumer.poll()
            ended.append(wanted)
            first.set()

    first = threading.Event()
    thread = threading.Thread(target=wait)
    thread.start()
    consumer.wakeup()
    assert first.wait(30)
    consumer.close()
    thread.join(30)
    assert ended == [kaffic.Interrupted, kaffic.Closed]


def test_a_wakeup_ends_a_loop_that_has_records(client, topic) -> None:
    fill(client, [b"a", b"b", b"c"])
    seen = []
    with client.consumer(topic) as consumer:
        for _ in range(2):
            with pytest.raises(kaffic.Interrupted):
                for record in consumer:
                    seen.append(record.value)
                    consumer.wakeup()
        assert seen == [b"a", b"b"]
        assert consumer.poll(timeout=30).value == b"c"


def test_what_was_given_is_committed_and_nothing_else(client, topic) -> None:
    fill(client, [b"a", b"b", b"c", b"d"])
    with client.consumer(topic, group="g", auto_commit="never") as consumer:
        for record in consumer:
            if record.offset == 1:
                break
        consumer.commit()
        assert committed(client) == 2 and consumer.positions()[("t", 0)] == 2
        record = next(consumer)
        consumer.commit(record)
        assert committed(client) == 3
        consumer.commit({("t", 0): (1, "again")})
        assert consumer.committed()[("t", 0)] == (1, "again")


def test_leaving_by_an_exception_gives_the_last_record_again(client, topic) -> None:
    fill(client, [b"a", b"b", b"c"])
    with pytest.raises(ZeroDivisionError):
        with client.consumer(topic, group="g") as consumer:
            for record in consumer:
                if record.value == b"b":
                    1 / 0
    assert committed(client) == 1
    with client.consumer(topic, group="g") as consumer:
        assert next(consumer).value == b"b"
    assert committed(client) == 2
    with pytest.raises(ZeroDivisionError):
        with client.consumer(topic, group="g", max_records=1) as consumer:
            assert len(consumer.poll_batch(10, timeout=30)) == 1
            consumer.commit()
            1 / 0
    assert committed(client) == 3


def test_leaving_the_clients_block_by_an_exception_gives_it_again_too(url, options) -> None:
    with pytest.raises(ZeroDivisionError):
        with kaffic.connect(url, **options) as client:
            client.create_topic("t", partitions=2)
            fill(client, [b"a", b"b"])
            consumer = client.consumer("t", group="g")
            assert [next(consumer).value, next(consumer).value] == [b"a", b"b"]
            1 / 0
    assert consumer.closed
    with kaffic.connect(url, **options) as client:
        assert committed(client) == 1


def test_a_commit_of_some_leaves_the_others_unfinished(client, topic) -> None:
    fill(client, [b"a", b"b", b"c", b"d"])
    with pytest.raises(ZeroDivisionError):
        with client.consumer(topic, group="g", max_records=4) as consumer:
            records = consumer.poll_batch(10, timeout=30)
            consumer.commit(records[0])
            1 / 0
    assert committed(client) == 1
    with pytest.raises(ZeroDivisionError):
        with client.consumer(topic, group="g") as consumer:
            assert consumer.poll_batch(10, timeout=30)[-1].value == b"d"
            consumer.commit({("t", 0): 2})
            1 / 0
    assert committed(client) == 2
    with pytest.raises(ZeroDivisionError):
        with client.consumer(topic, group="g") as consumer:
            records = consumer.poll_batch(10, timeout=30)
            consumer.commit(records[-1])
            1 / 0
    assert committed(client) == 4


def test_a_commit_that_fails_finishes_nothing(client, topic) -> None:
    fill(client, [b"a", b"b"])
    with pytest.raises(kaffic.InvalidArgument):
        with client.consumer(topic, group="g") as consumer:
            assert len(consumer.poll_batch(10, timeout=30)) == 2
            consumer.commit({("t", 0): -7})
    assert committed(client) in (None, 0)


def test_a_seek_leaves_other_partitions_unfinished(client, topic) -> None:
    fill(client, [b"x"], partition=1)
    with pytest.raises(ZeroDivisionError):
        with client.consumer(topic, group="g") as consumer:
            assert consumer.poll(timeout=30).value == b"x"
            fill(client, [b"a", b"b"])
            assert {record.partition for record in consumer.poll_batch(10, timeout=30)} == {0}
            with pytest.raises(kaffic.InvalidArgument):
                consumer.seek("t", 0, "nowhere")
            consumer.seek("t", 1, 0)
            1 / 0
    assert committed(client) in (None, 0)
    assert committed(client, 1) in (None, 0)


def test_the_next_poll_finishes_what_was_given_also_if_it_is_interrupted(client, topic) -> None:
    fill(client, [b"a", b"b"])
    with pytest.raises(kaffic.Interrupted):
        with client.consumer(topic, group="g") as consumer:
            assert consumer.poll(timeout=30).value == b"a"
            consumer.wakeup()
            consumer.poll()
    assert committed(client) == 1


def test_rebalances_are_told(client, topic) -> None:
    told = []
    fill(client, [b"a"])
    with client.consumer(
        topic,
        group="g",
        auto_commit="never",
        on_assigned=lambda at: told.append(("assigned", at)),
        on_revoked=lambda at: (told.append(("revoked", at)), {p: (o, "bye") for p, o in at.items()})[1],
    ) as consumer:
        assert consumer.poll(timeout=30).value == b"a"
    together: dict[str, dict[tuple[str, int], int]] = {"assigned": {}, "revoked": {}}
    for what, at in told:
        together[what].update(at)
    # The other partition may not have come yet.
    assert together["assigned"][("t", 0)] == 0 and together["assigned"].keys() == together["revoked"].keys()
    assert together["revoked"][("t", 0)] == 1
    assert client.committed_of_group("g")[("t", 0)] == (1, "bye")


def test_what_a_callback_raises_is_logged_and_loses_nothing(client, topic, caplog) -> None:
    fill(client, [b"a"])
    calls = []

    def assigned(at: object) -> None:
        try:
            client.list_topics()
        except kaffic.InCallback as error:
            calls.append(error.status)
        raise ZeroDivisionError

    with client.consumer(topic, group="g", on_assigned=assigned) as consumer:
        assert consumer.poll(timeout=30).value == b"a"
    assert set(calls) == {"IN_CALLBACK"} and "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit])
def test_what_ends_programs_comes_out_of_callbacks_and_loses_nothing(client, topic, ends) -> None:
    fill(client, [b"a"])

    def end(at: object) -> None:
        raise ends

    consumer = client.consumer(topic, group="g", auto_commit="never", on_assigned=end, on_revoked=end)
    times, record = 0, None
    while record is None:
        try:
            record = consumer.poll(timeout=30)
        except ends:
            times += 1
            assert sum(consumer.positions().values()) == 0
    assert times > 0 and record.value == b"a"
    with pytest.raises(ends):
        consumer.close()
    consumer.close()
    assert consumer.closed


@pytest.mark.parametrize("closed", [True, False])
def test_a_consumer_that_calls_its_owner_is_freed_with_it(client, topic, closed) -> None:
    class Owner:
        def __init__(self) -> None:
            self.consumer = client.consumer(topic, group="g", on_revoked=self.gone)

        def gone(self, at: object) -> None:
            pass

    owner = Owner()
    owner.consumer.poll(timeout=0)
    freed = weakref.ref(owner)
    if closed:
        owner.consumer.close()
        del owner
    else:
        with pytest.warns(ResourceWarning, match="unclosed consumer"):
            del owner
            gc.collect()
    assert freed() is None


def test_errors_have_what_is_known(client, topic) -> None:
    fill(client, [b"a", b"b"])
    with client.consumer(topic, reset="error") as consumer:
        with pytest.raises(kaffic.OffsetOutOfRange) as caught:
            consumer.seek("t", 0, 9)
        assert (caught.value.earliest, caught.value.tail) == (0, 2)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), again.tail, str(again)) == (kaffic.OffsetOutOfRange, 2, str(caught.value))
        assert consumer.poll(timeout=30).value == b"a"
    with pytest.raises(TypeError):
        client.consumer("t", pattern="t.*")
    with pytest.raises(ValueError, match="subscribe or assign"):
        with client.consumer() as consumer:
            consumer.poll()


def test_an_unclosed_consumer_warns(client, topic) -> None:
    consumer = client.consumer(topic)
    with pytest.warns(ResourceWarning, match="unclosed consumer"):
        del consumer
