"""Every example of the documentation runs, and says what it is said to say."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

import kaffic

HERE = Path(__file__).parents[1]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


@pytest.mark.parametrize("page", [HERE / "README.md", HERE.parents[1] / "docs/python.md"], ids=lambda p: p.name)
def test_examples_of_the_pages(page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a block prints is compared with its comments `# prints …`."""
    examples = blocks(page, "python")
    assert examples
    scope: dict[str, object] = {"__name__": "example"}
    for example in examples:
        source = re.sub(r"file:///tmp/kaffic-\w+", f"file://{tmp_path}/store", example)
        exec(compile(source, page.name, "exec"), scope)
        printed = capsys.readouterr().out.splitlines()
        said = re.findall(r"# prints (.*)$", example, re.M)
        assert not said or printed == said


def run(example: str, *args: str, store: str) -> subprocess.Popen[str]:
    environment = os.environ | {"KAFFIC_STORE": store}
    command = [sys.executable, str(HERE / "examples" / example), *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def test_the_worker(tmp_path: Path) -> None:
    store = f"file://{tmp_path}/store"
    with kaffic.connect(store) as client:
        client.create_topic("orders")
        with client.producer("orders") as producer:
            producer.send_batch([b'{"n":1}', b'{"n":2}']).result()
        worker = run("worker.py", "orders", "billing", store=store)
        assert worker.stderr is not None
        said = ""
        while "{'n': 2}" not in said:
            line = worker.stderr.readline()
            assert line, said
            said += line
        worker.send_signal(signal.SIGTERM)
        said += worker.communicate(timeout=60)[1]
        assert worker.returncode == 0 and "got ['orders:0']" in said and "stopping" in said
        assert client.committed_of_group("billing")[("orders", 0)].offset == 2
        with client.producer("orders") as producer:
            producer.send_batch([b'{"n":3}', b"no JSON"]).result()
        worker = run("worker.py", "orders", "billing", store=store)
        assert "offset 3: the value is no JSON" in worker.communicate(timeout=60)[1]
        assert worker.returncode == 1
        # It comes again.
        assert client.committed_of_group("billing")[("orders", 0)].offset == 3


def test_the_web_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    store = f"file://{tmp_path}/store"
    monkeypatch.setenv("KAFFIC_STORE", store)
    monkeypatch.syspath_prepend(str(HERE / "examples"))
    import web

    with testclient.TestClient(web.app) as http:
        answers = [http.post("/orders/zoë", json={"coffees": n}) for n in range(3)]
        assert [answer.status_code for answer in answers] == [201] * 3
        assert [answer.json()["offset"] for answer in answers] == [0, 1, 2]
        assert http.post("/orders/zoë", content=b"{").status_code == 400
    with kaffic.connect(store) as client, client.consumer("orders", until="latest") as consumer:
        assert [(r.key, r.value) for r in consumer] == [("zoë".encode(), b'{"coffees":%d}' % n) for n in range(3)]


def test_the_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("polars")
    monkeypatch.syspath_prepend(str(HERE / "examples"))
    from frame import frame

    def at(ms: int) -> datetime:
        return datetime.fromtimestamp(ms / 1000, timezone.utc)

    with kaffic.connect(f"file://{tmp_path}/store") as client:
        client.create_topic("orders", partitions=2)
        with client.producer("orders") as producer:
            producer.send_batch([kaffic.Record(b"%d" % n, timestamp=1000 * n, partition=0) for n in range(10)]).result()
        data = frame(client, "orders", at(3000), at(6000))
        assert data["offset"].to_list() == [3, 4, 5] and data["value"].to_list() == [b"3", b"4", b"5"]
        assert data["time"].to_list() == [at(3000), at(4000), at(5000)] and data["key"].null_count() == 3
        assert frame(client, "orders", at(50_000), at(60_000)).height == 0


def test_the_matrix(tmp_path: Path) -> None:
    store = f"file://{tmp_path}/store"
    with kaffic.connect(store) as client:
        client.create_topic("t")
    outcomes = []
    for does in ("produce", "check"):
        command = [sys.executable, str(HERE / "tests/matrix.py"), does, store, "t"]
        done = subprocess.run(command, capture_output=True, text=True)
        outcomes.append((done.returncode, done.stdout, done.stderr))
    assert outcomes == [(0, "", ""), (0, "35 records, as they should be\n", "")]
    with kaffic.connect(store) as client, client.producer("t") as producer:
        producer.send(b"one more").result()
    assert subprocess.run(command, capture_output=True).returncode != 0
