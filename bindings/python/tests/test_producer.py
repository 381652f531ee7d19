"""A producer in Python's manner."""

from __future__ import annotations

import array
import pickle
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from types import MappingProxyType

import pytest

import kaffic


@pytest.fixture
def topic(client: kaffic.Client) -> str:
    client.create_topic("t", partitions=2)
    return "t"


def read(client: kaffic.Client, topic: str) -> list[kaffic.ConsumerRecord]:
    with client.consumer(topic, until="latest") as consumer:
        return list(consumer)


@pytest.mark.parametrize(
    "value",
    [b"abcd", bytearray(b"abcd"), memoryview(b"xabcdx")[1:5], array.array("H", b"abcd"), memoryview(b"dcba")[::-1]],
    ids=["bytes", "bytearray", "memoryview", "array", "reversed"],
)
@pytest.mark.parametrize("times", [1, 20_000])
def test_whatever_has_a_buffer_is_a_value(client, topic, value, times) -> None:
    value = bytes(value) * times if isinstance(value, bytes) else value
    with client.producer(topic) as producer:
        producer.send(value, key=value[:2])
    (record,) = read(client, topic)
    assert record.value == bytes(value) and record.key == bytes(value[:2])


def test_text_is_no_value(client, topic) -> None:
    with client.producer(topic) as producer:
        for wrong in ("text", 7, 1.5, [1, 2]):
            with pytest.raises(TypeError, match="value is bytes"):
                producer.send(wrong)
        with pytest.raises(TypeError, match="key is bytes, not str: encode"):
            producer.send(b"v", "k")
        with pytest.raises(TypeError, match="headers are"):
            producer.send(b"v", headers=[("only a name",)])
        with pytest.raises(TypeError, match="value is bytes"):
            producer.send_batch([b"good", "text"])
    assert read(client, topic) == []


def test_headers_are_a_mapping_or_pairs(client, topic) -> None:
    with client.producer(topic) as producer:
        producer.send(b"1", partition=0, headers={"a": b"1", "b": None})
        producer.send(b"2", partition=0, headers=[("a", b"1"), ("a", bytearray(b"2")), ("ü", b"")])
    first, second = read(client, topic)
    assert first.headers == [("a", b"1"), ("b", None)]
    assert second.headers == [("a", b"1"), ("a", b"2"), ("ü", b"")]
    assert second.header("a") == b"2" and first.header("b") is None and first.header("c") is None


class Twice(Mapping[str, bytes]):
    """As mappings of HTTP headers are, which have a name more than once."""

    def __getitem__(self, name: str) -> bytes:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter("aa")

    def __len__(self) -> int:
        return 2

    def items(self):
        return [("a", b"1"), ("a", b"2")]


def test_any_mapping_has_headers(client, topic) -> None:
    with client.producer(topic) as producer:
        producer.send(b"1", partition=0, headers=MappingProxyType({"ab": b"1", "cd": None}))
        producer.send_batch([kaffic.Record(b"2", partition=0, headers=Twice())])
    first, second = read(client, topic)
    assert first.headers == [("ab", b"1"), ("cd", None)]
    assert second.headers == [("a", b"1"), ("a", b"2")]


def test_records_and_acknowledgements_are_pickled() -> None:
    record = kaffic.Record(b"v", None, headers=[("a", None), ("a", b"")], timestamp=5, partition=2, sequence=7)
    ack = kaffic.Ack(2, -1, 5, duplicate=True)
    for value in (record, kaffic.Record(), ack, kaffic.Ack(0, 1, 2)):
        assert pickle.loads(pickle.dumps(value)) == value
    assert repr(ack) == "Ack(partition=2, offset=-1, timestamp=5, duplicate=True)"


def test_times_are_milliseconds_or_aware(client, topic) -> None:
    when = datetime(2026, 1, 31, 12, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
    before = datetime(1969, 12, 31, 23, 59, 59, 1000, tzinfo=timezone.utc)
    with client.producer(topic) as producer:
        for given in (when, before, 1234567890123):
            producer.send(b"v", timestamp=given, partition=0)
        with pytest.raises(ValueError, match="time zone"):
            producer.send(b"v", timestamp=datetime(2026, 1, 1))
        with pytest.raises(TypeError, match="milliseconds or a datetime"):
            producer.send(b"v", timestamp="now")
    records = read(client, topic)
    assert [record.timestamp for record in records] == [1769853600123, -999, 1234567890123]
    assert records[0].datetime == when.replace(microsecond=123_000)
    assert records[1].datetime == before
    assert records[0].datetime.tzinfo is timezone.utc


def test_a_delivery_is_as_a_future(client, topic) -> None:
    called = threading.Event()
    seen = []
    with client.producer(topic) as producer:
        delivery = producer.send(b"v", on_delivery=lambda d: (seen.append(d.result()), called.set()))
        ack = delivery.result(timeout=timedelta(seconds=30))
        assert delivery.done() and delivery.exception() is None
        assert called.wait(30)
        late = threading.Event()
        delivery.add_done_callback(lambda d: late.set())
        assert late.wait(30)
    assert seen == [ack] and ack.offset == 0 and not ack.duplicate
    assert {ack: 1}[delivery.result()] == 1


def test_a_callback_that_fails_is_logged_and_the_next_is_called(client, topic, caplog) -> None:
    called = threading.Event()
    with client.producer(topic) as producer:
        producer.send(b"v", on_delivery=lambda d: 1 / 0).result()
        producer.send(b"v", on_delivery=lambda d: called.set())
        assert called.wait(30)
    assert "a callback failed" in caplog.text and "ZeroDivisionError" in caplog.text


def test_a_callback_can_not_end_the_others(client, topic, caplog) -> None:
    called = threading.Event()
    with client.producer(topic) as producer:
        producer.send(b"v", on_delivery=lambda d: sys.exit("over")).result()
        producer.send(b"v", on_delivery=lambda d: called.set())
        assert called.wait(30)
    assert "a callback failed" in caplog.text and "SystemExit: over" in caplog.text


def test_flushing_and_closing_wait_for_callbacks(client, topic) -> None:
    seen: list[int] = []
    gate, flushed = threading.Event(), threading.Event()

    def note(delivery: kaffic.Delivery) -> None:
        assert gate.wait(60)
        seen.append(delivery.result().offset)

    def flush(_: object) -> None:
        producer.flush()
        flushed.set()

    with client.producer(topic) as producer:
        for _ in range(3):
            producer.send(b"v", partition=0, on_delivery=note)
        for call in (producer.flush, producer.close):
            with pytest.raises(kaffic.KafficTimeout):
                call(timeout=0.1)
        gate.set()
        producer.flush()
        assert sorted(seen) == [0, 1, 2]
    with client.producer(topic) as producer:
        # On the callbacks' own thread it waits for the records only.
        producer.send(b"v", on_delivery=flush)
        assert flushed.wait(60)
        producer.send_batch([b"v"]).add_done_callback(lambda sent: note(producer.send(b"v", partition=0)))
        producer.flush()
        assert len(seen) == 4


def test_callbacks_that_wait_are_bounded(client, topic) -> None:
    most, more = 100_000, 1_000
    called = 0
    sent, over, finished = [], [], threading.Event()

    def note(_: object) -> None:
        nonlocal called
        called += 1
        if called == 1:
            while len(sent) < most:
                enough.wait(0.01)
            over.append(finished.wait(1))
        elif called == 2:
            # It would wait for itself.
            producer.send(b"v", on_delivery=note)

    enough = threading.Event()
    with client.producer(topic) as producer:
        for _ in range(most + more):
            sent.append(producer.send(b"v", on_delivery=note))
        finished.set()
    assert over == [False] and called == most + more + 1


def test_what_fails_later_is_told_by_the_delivery(client, topic) -> None:
    old = client.producer(topic, name="n")
    old.send(b"v", partition=0).result()
    with client.producer(topic, name="n") as new:
        new.fence_all()
        delivery = old.send(b"w", partition=0)
        error = delivery.exception(timeout=30)
        assert isinstance(error, kaffic.Fenced) and error.status == "FENCED"
        assert not error.retriable and not error.outcome_unknown
        with pytest.raises(kaffic.Fenced):
            delivery.result()
    old.close()
    assert old.closed


def test_a_batch_tells_of_each_record(client, topic) -> None:
    with client.producer(topic, max_record_bytes="1KiB") as producer:
        sent = producer.send_batch([kaffic.Record(b"v", partition=0), kaffic.Record(b"x" * 2000, partition=0), None])
        with pytest.raises(kaffic.RecordTooLarge) as caught:
            sent.result(timeout=30)
        first, second, third = sent.outcomes()
        assert caught.value.outcomes is not None and caught.value.outcomes[::2] == [first, third]
        assert first.offset == 0 and isinstance(second, kaffic.RecordTooLarge)
        assert isinstance(third, kaffic.Ack) and sent.done() and len(sent) == 3
        done = threading.Event()
        sent.add_done_callback(lambda _: done.set())
        assert done.wait(30)
        assert producer.send_batch([]).result() == []
    assert len(read(client, topic)) == 2


def test_a_full_buffer_waits_or_fails(client, topic) -> None:
    with client.producer(topic, max_in_flight_bytes="4KiB") as producer:
        sent = [producer.send(bytes([n]) * 1500, partition=0) for n in range(50)]
        assert [delivery.result().offset for delivery in sent] == list(range(50))
    with client.producer(topic, max_in_flight_bytes="4KiB", when_full="fail", linger="10s") as producer:
        with pytest.raises(kaffic.QueueFull) as caught:
            for _ in range(50):
                producer.send(b"x" * 1500)
        assert caught.value.retriable


def test_an_append_has_its_condition(client, topic) -> None:
    with client.producer(topic) as producer:
        assert producer.append(0, [b"a", kaffic.Record(b"b", key=b"k")], 0).offset == 0
        with pytest.raises(kaffic.ConditionFailed) as caught:
            producer.append(0, [b"c"], expected_offset=0)
        assert caught.value.tail == 2
    assert [record.value for record in read(client, topic)] == [b"a", b"b"]


def test_settings_may_be_objects(client) -> None:
    topic = client.create_topic(
        "s", partitions=3, retention=timedelta(days=1, microseconds=5000), max_record_bytes=1000, compression=None
    )
    assert topic.partitions == 3 and topic.retention_ms == 86_400_005 and topic.compression is None
    for wrong in (0.5, b"5ms", timedelta):
        with pytest.raises(TypeError, match="linger"):
            client.producer("s", linger=wrong)
    with pytest.raises(ValueError, match="negative"):
        client.producer("s", linger=timedelta(seconds=-1))
    with pytest.raises(kaffic.UnknownSetting, match="linger") as caught:
        client.producer("s", lingr="5ms")
    assert isinstance(caught.value, ValueError)
    with client.producer("s", compaction=False, linger=timedelta(microseconds=1500)) as producer:
        producer.send(b"v").result()


def test_an_unclosed_producer_warns_and_sends(client, topic) -> None:
    producer = client.producer(topic)
    delivery = producer.send(b"v")
    with pytest.warns(ResourceWarning, match="unclosed producer of topic t"):
        del producer
    assert delivery.result(timeout=30).offset == 0


def test_closed_says_so(client, topic) -> None:
    producer = client.producer(topic)
    producer.close()
    producer.close()
    with pytest.raises(kaffic.Closed):
        producer.send(b"v")
    client.close()
    with pytest.raises(kaffic.Closed):
        client.list_topics()


def test_a_client_closes_what_it_made(url, options) -> None:
    with kaffic.connect(url, **options) as client:
        client.create_topic("t")
        producer, consumer = client.producer("t"), client.consumer("t")
        delivery = producer.send(b"v")
    assert producer.closed and consumer.closed and delivery.done()
