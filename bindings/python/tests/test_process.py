"""The process: signals, forks, its end, log lines, memory."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kaffic
import kaffic.aio


def python(source: str, *args: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(source), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def ok(source: str, *args: str) -> str:
    done = python(source, *args)
    assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stdout, done.stderr)
    return done.stdout


WAITS: dict[str, Callable[[kaffic.Client], object]] = {
    "poll": lambda client: client.consumer("t").poll(),
    "poll_batch": lambda client: client.consumer("t").poll_batch(),
    "iteration": lambda client: next(client.consumer("t")),
    "result": lambda client: slow(client).send(b"v").result(),
    "batch": lambda client: slow(client).send_batch([b"v"]).result(),
    "send": lambda client: full().send(b"v" * 1000),
    "send_batch": lambda client: full().send_batch([b"v" * 1000] * 10),
    "flush": lambda client: stuck(client).flush(),
    "close": lambda client: stuck(client).close(),
    "commit": lambda client: busy(client).commit(),
}


kept: list[kaffic.Producer] = []
#: What callbacks wait for that hold a call up.
late = threading.Event()
others: list[threading.Thread] = []


def slow(client: kaffic.Client) -> kaffic.Producer:
    """One that waits for more records before it sends any; it must be kept, since what is dropped sends."""
    kept.append(client.producer("t", linger="60s"))
    return kept[-1]


#: Stores that are away.
away: list[Path] = []


def full() -> kaffic.Producer:
    """One with no room left, since its store is away until :func:`back`."""
    place = Path(tempfile.mkdtemp(prefix="kaffic-"))
    client = kaffic.connect(f"file://{place}/store")
    client.create_topic("t")
    kept.append(client.producer("t", max_in_flight_bytes="2KiB"))
    (place / "store").rename(place / "away")
    (place / "store").touch()
    away.append(place)
    kept[-1].send(b"v" * 1000)
    return kept[-1]


def back() -> None:
    while away:
        place = away.pop()
        (place / "store").unlink()
        (place / "away").rename(place / "store")
        kept[-1].close()
        shutil.rmtree(place)


def stuck(client: kaffic.Client) -> kaffic.Producer:
    """One whose callback does not return."""
    kept.append(client.producer("t"))
    kept[-1].send(b"v", on_delivery=lambda delivery: late.wait(60))
    return kept[-1]


def busy(client: kaffic.Client) -> kaffic.Consumer:
    """One that another thread polls, whose callback does not return."""
    polls = threading.Event()

    def assigned(at: object) -> None:
        polls.set()
        late.wait(60)

    consumer = client.consumer("t", group="g", on_assigned=assigned)

    def poll() -> None:
        with consumer:
            consumer.poll(timeout=0)

    others.append(threading.Thread(target=poll))
    others[-1].start()
    assert polls.wait(60)
    return consumer


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Whoever runs the tests in the background of a shell has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.usefixtures("interruptible")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_ctrl_c_ends_every_wait(client: kaffic.Client, wait: str) -> None:
    client.create_topic("t")
    late.clear()
    main = threading.get_ident()
    # Signals until one has met the wait; those that come before it are handled as well.
    over = threading.Event()

    def interrupt() -> None:
        while not over.wait(0.2):
            signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            WAITS[wait](client)
    finally:
        over.set()
        thread.join()
        late.set()
        while others:
            others.pop().join()
    client._made.clear()
    kept.clear()


def test_a_handler_that_returns_lets_the_wait_go_on(client: kaffic.Client) -> None:
    client.create_topic("t")
    handled = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: handled.set())
    try:
        with client.consumer("t") as consumer, client.producer("t") as producer:

            def later() -> None:
                signal.pthread_kill(main, signal.SIGUSR1)
                assert handled.wait(30)
                producer.send(b"v")

            main = threading.get_ident()
            thread = threading.Thread(target=later)
            thread.start()
            assert consumer.poll(60).value == b"v"
            thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_handler_can_not_wait_while_its_thread_does(client: kaffic.Client) -> None:
    client.create_topic("t")
    told: list[str] = []
    over = threading.Event()
    main = threading.get_ident()

    def handle(*_: object) -> None:
        try:
            # It is answered if the thread does not wait just then.
            consumer.positions()
        except kaffic.InCallback as error:
            told.append(str(error))
            with pytest.raises(kaffic.InCallback):
                consumer.close()
            over.set()
            consumer.wakeup()

    def signals() -> None:
        while not over.wait(0.2):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handle)
    thread = threading.Thread(target=signals)
    try:
        with client.consumer("t", group="g") as consumer:
            thread.start()
            with pytest.raises(kaffic.Interrupted):
                consumer.poll()
            assert not consumer.closed and len(consumer.positions()) <= 1
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert len(told) == 1 and "wakeup()" in told[0]


def test_a_child_may_leave_its_parents_blocks(tmp_path) -> None:
    out = ok(
        """
        import os, sys, kaffic
        with kaffic.connect(sys.argv[1]) as client:
            client.create_topic("t")
            with client.producer("t") as producer, client.consumer("t", group="g") as consumer:
                child = os.fork()
                if child == 0:
                    sys.exit(7)
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
                producer.send(b"v").result()
                print(consumer.poll(30).value)
        """,
        f"file://{tmp_path}/store",
    )
    assert out.splitlines() == ["7", "b'v'"]


def test_a_fork_has_its_own(url: str, options: dict[str, str]) -> None:
    out = ok(
        """
        import os, sys, kaffic
        url, options = sys.argv[1], dict(o.split("=", 1) for o in sys.argv[2:])
        client = kaffic.connect(url, **options)
        client.create_topic("t")
        producer, consumer = client.producer("t"), client.consumer("t")
        delivery = producer.send(b"parent", on_delivery=lambda d: None)
        delivery.result()
        child = os.fork()
        if child == 0:
            for call in (client.list_topics, lambda: producer.send(b"x"), lambda: consumer.poll(0), delivery.done):
                try:
                    call()
                except kaffic.Forked as error:
                    print(error.status)
            del producer, consumer, delivery, client
            called = __import__("threading").Event()
            with kaffic.connect(url, **options) as client, client.producer("t") as producer:
                producer.send(b"child", on_delivery=lambda d: called.set()).result()
                assert called.wait(60)
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        producer.send(b"parent again").result()
        with client.consumer("t", until="latest") as again:
            print([record.value for record in again])
        client.close()
        """,
        url,
        *(f"{name}={value}" for name, value in options.items()),
    )
    assert out.splitlines() == ["FORKED"] * 4 + ["[b'parent', b'child', b'parent again']"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path, method: str) -> None:
    (tmp_path / "work.py").write_text(
        textwrap.dedent(
            """
            import kaffic

            def produce(args):
                url, number = args
                with kaffic.connect(url) as client, client.producer("t") as producer:
                    return producer.send(b"%d" % number).result()

            def main(url, method):
                import multiprocessing

                with kaffic.connect(url) as client:
                    client.create_topic("t")
                with multiprocessing.get_context(method).Pool(2) as pool:
                    acks = pool.map(produce, [(url, n) for n in range(4)])
                    assert sorted(ack.offset for ack in acks) == [0, 1, 2, 3]
                    pool.close()
                    pool.join()
                with kaffic.connect(url) as client, client.consumer("t", until="latest") as consumer:
                    print(sorted(record.value for record in consumer))
            """
        )
    )
    source = "import sys; sys.path.insert(0, sys.argv[1]); import work; work.main(*sys.argv[2:])"
    out = ok(source, str(tmp_path), f"file://{tmp_path}/store", method)
    assert out.strip() == "[b'0', b'1', b'2', b'3']"


def test_the_program_ends_with_everything_under_way(tmp_path) -> None:
    source = """
    import sys, threading, asyncio, kaffic, kaffic.aio, warnings
    warnings.simplefilter("ignore", ResourceWarning)
    client = kaffic.connect(sys.argv[1])
    client.ensure_topic("t")
    producer, consumer = client.producer("t"), client.consumer("t")
    for _ in range(1000):
        producer.send(b"v", on_delivery=lambda d: None)
    other = client.consumer("t", start="latest")
    for wait in (other.poll, lambda: client.consumer("t", start="latest").poll(), other.positions):
        threading.Thread(target=wait, daemon=True).start()
    def loop():
        async def main():
            aio = await kaffic.aio.connect(sys.argv[1])
            made = await aio.consumer("t", start="latest")
            sent = (await aio.producer("t")).send(b"v")
            await made.poll()
        asyncio.run(main())
    threading.Thread(target=loop, daemon=True).start()
    print("end")
    """
    for turn in range(20):
        done = python(source, f"file://{tmp_path}/store")
        assert done.returncode == 0 and done.stdout == "end\n", (turn, done.returncode, done.stderr)


def test_log_lines_go_to_logging(tmp_path) -> None:
    out = ok(
        """
        import logging, sys, threading
        came = threading.Event()
        class Prints(logging.Handler):
            def emit(self, record):
                print(record.name, record.levelname, record.getMessage())
                came.set()
        logging.getLogger("kaffic").addHandler(Prints())
        logging.getLogger("kaffic").setLevel(logging.DEBUG)
        import kaffic
        with kaffic.connect("file://" + sys.argv[1]) as client:
            client.create_topic("t")
            with client.producer("t", name="n") as producer:
                producer.send(b"v").result()
            with client.consumer("t", group="g") as consumer:
                consumer.poll(30)
        assert came.wait(30)
        """,
        str(tmp_path),
    )
    assert out.startswith("kaffic.") and " DEBUG " in out


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.skipif("KAFFIC_TEST_URL" in os.environ, reason="says nothing of a server")
def test_a_million_records_leave_no_memory_behind(client: kaffic.Client) -> None:
    """Ten rounds of 100,000, by every way in and out. What the allocator keeps goes up and down by some
    MiB, so the second half is compared with the first: 20 bytes a record would show.
    """
    client.create_topic("t")
    sizes, called = [], 0

    def count(_: kaffic.Delivery) -> None:
        nonlocal called
        called += 1

    with client.producer("t", compaction=False, max_in_flight_bytes="8MiB") as producer:
        for _ in range(10):
            with client.consumer("t", fetch_ahead_bytes="8MiB", start="latest") as consumer:
                for _ in range(9):
                    records = [kaffic.Record(b"v" * 100, b"k", headers={"h": b"1"})] * 10_000
                    producer.send_batch(records).result()
                sent = [producer.send(b"v" * 100, b"k", on_delivery=count) for _ in range(10_000)]
                assert all(delivery.result().offset >= 0 for delivery in sent)
                del sent, records
                left = 100_000
                while left > 50_000:
                    left -= sum(len(record.value or b"") // 100 for record in consumer.poll_batch(1000))
                for record in consumer:
                    assert record.value_view is not None and len(record.headers) <= 1
                    left -= 1
                    if left == 0:
                        break
                del record
            gc.collect()
            sizes.append(resident())
    assert called == 100_000
    assert max(sizes[5:]) - max(sizes[:5]) < 10 << 20, [size >> 20 for size in sizes]


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.skipif("KAFFIC_TEST_URL" in os.environ, reason="says nothing of a server")
def test_an_event_loop_leaves_no_memory_behind(url: str) -> None:
    """The same with asyncio, in ten rounds of 10,000 after one: 200 bytes a record would show."""
    sizes = []

    async def main() -> None:
        async with (
            kaffic.aio.connect(url) as client,
            client.consumer(on_revoked=lambda at: None, fetch_ahead_bytes="8MiB") as consumer,
        ):
            await client.create_topic("t")
            await consumer.assign([("t", 0, 0)])
            async with client.producer("t", compaction=False, max_in_flight_bytes="8MiB") as producer:
                for _ in range(11):
                    sends = [producer.send(b"v" * 100, on_delivery=lambda sent: None) for _ in range(5_000)]
                    await producer.send_batch([b"v" * 100] * 5_000)
                    await asyncio.gather(*sends)
                    left = 10_000
                    while left > 5_000:
                        left -= len(await consumer.poll_batch(500))
                    while left > 0:
                        await anext(consumer)
                        left -= 1
                    gc.collect()
                    sizes.append(resident())

    asyncio.run(main())
    assert max(sizes[6:]) - max(sizes[1:6]) < 10 << 20, [size >> 20 for size in sizes]


def test_loggers_are_not_touched() -> None:
    assert logging.getLogger("kaffic").handlers == []
