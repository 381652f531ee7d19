"""Two servers on one store behind nginx, as docs/serve.md has it, and clients on both while each is killed in turn.

Nothing that was acknowledged may be missing, every key's records are in their order, and those of named producers are
there once. A follower, whose stream is cut with its server, sees all of it too.
"""

import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMED, PLAIN, BATCH = 4, 4, 5
PARTITIONS = 2
# What each writer stores at the very least while the servers come and go.
LEAST = 20 * BATCH


class Pair:
    """The servers and nginx."""

    def __init__(self, kaffic, work, store, port):
        self.kaffic, self.work, self.store, self.port = kaffic, work, store, port
        self.servers, self.nginx = {}, None
        config = re.search(r"```nginx\n(.*?)```", (ROOT / "docs/serve.md").read_text(), re.S).group(1)
        for at, name in enumerate(["8000", "8080", "8081"]):
            config = config.replace(f"127.0.0.1:{name}", f"127.0.0.1:{port + at}")
        config = config.replace("TOKEN", "secret").replace("kaffic.users", f"{work}/users")
        (work / "users").write_text("shop:{PLAIN}s\nreader:{PLAIN}r\n")
        # Its workers have to read the users' file, which is in a directory of whoever runs this.
        user = "user root;" if os.geteuid() == 0 else ""
        (work / "nginx.conf").write_text(
            f"{user} daemon off; pid {work}/nginx.pid; error_log {work}/nginx.log; worker_processes 1;\n"
            f"events {{ worker_connections 512; }}\nhttp {{ access_log off; client_body_temp_path {work}/b;\n"
            f"proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u;\n"
            f"scgi_temp_path {work}/s;\n{config}\n}}\n")

    def start(self, number):
        log = open(self.work / f"server-{number}.log", "ab")
        self.servers[number] = subprocess.Popen(
            [self.kaffic, "--store", self.store, "serve", "--listen", f"127.0.0.1:{self.port + number}",
             "--token", "secret"], stderr=log)
        wait_for(lambda: urllib.request.urlopen(f"http://127.0.0.1:{self.port + number}/readyz", timeout=5))

    def kill(self, number):
        self.servers[number].send_signal(signal.SIGKILL)
        self.servers[number].wait()

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self):
        self.start(1)
        self.start(2)
        self.nginx = subprocess.Popen(["nginx", "-c", str(self.work / "nginx.conf"), "-e", str(self.work / "nginx.log")])
        wait_for(lambda: self.request("GET", "/v1/topics", user="reader:r"))

    def __exit__(self, *_):
        processes = [process for process in [self.nginx, *self.servers.values()] if process]
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)

    def request(self, method, path, body=None, user="shop:s", headers=(), timeout=70):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        request.add_header("Content-Type", "application/json")
        if user:
            request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
        for name, value in headers:
            request.add_header(name, value)
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.urlopen(request, data, timeout)

    def json(self, *arguments, **more):
        with self.request(*arguments, **more) as response:
            return json.load(response)


def wait_for(attempt):
    for _ in range(200):
        try:
            return attempt()
        except OSError:
            time.sleep(0.1)
    return attempt()


def refused(pair, status, *arguments, **more):
    try:
        pair.request(*arguments, **more)
    except urllib.error.HTTPError as error:
        assert error.code == status, error
        return
    raise AssertionError(f"{arguments} was not refused")


class Writer(threading.Thread):
    """Stores numbered values under its own key, one request at a time, until it is told to stop."""

    def __init__(self, pair, number, named, stop):
        super().__init__(daemon=True)
        self.pair, self.name, self.named, self.stop = pair, f"w{number}", named, stop
        self.acknowledged, self.failed, self.number, self.fault = [], 0, 0, None

    def run(self):
        try:
            self.write()
        except Exception as fault:  # It would end this thread, and nothing else.
            self.fault = fault

    def write(self):
        while not self.stop.is_set():
            numbers = range(self.number, self.number + BATCH)
            body = {"records": [{"key": self.name, "value": f"{self.name}-{number}"} for number in numbers]}
            if self.named:
                body |= {"producer": self.name, "sequence": self.number}
            # A named producer sends until it knows; another may not send twice.
            while True:
                try:
                    self.pair.json("POST", "/v1/topics/t/records", body)
                    self.acknowledged.extend(numbers)
                    break
                except urllib.error.HTTPError as error:
                    assert error.code in (500, 502, 503, 504), (error.code, error.read())
                except OSError:
                    pass
                self.failed += 1
                time.sleep(0.05)
                if not self.named:
                    break
            self.number += BATCH


class Follower(threading.Thread):
    """Follows the topic, and goes on where it was when its stream is cut."""

    def __init__(self, pair):
        super().__init__(daemon=True)
        self.pair, self.seen, self.last, self.cuts = pair, [], None, -1

    def run(self):
        while True:
            self.cuts += 1
            try:
                headers = [("Last-Event-ID", self.last)] if self.last else []
                path = "/v1/topics/t/stream?from=earliest"
                for line in self.pair.request("GET", path, user="reader:r", headers=headers):
                    if line.startswith(b"data: "):
                        record = json.loads(line[6:])
                        if "offset" in record:
                            self.seen.append((record["partition"], record["offset"], record["value"]))
                    elif line.startswith(b"id: "):
                        # Of the event whose data comes next; it is there when the line before it is.
                        upcoming = line[4:].strip().decode()
                    elif not line.strip():
                        self.last = upcoming
            except OSError:
                pass
            time.sleep(0.1)


def everything(pair):
    records = []
    for partition in range(PARTITIONS):
        offset = 0
        while True:
            path = f"/v1/topics/t/partitions/{partition}/records?offset={offset}&max_records=5000"
            page = pair.json("GET", path, user="reader:r")
            if not page["records"]:
                break
            records += [(partition, record["offset"], record["value"]) for record in page["records"]]
            offset = page["next_offset"]
    return records


def check(pair, writers, follower):
    records = everything(pair)
    stored = {writer.name: [] for writer in writers}
    for _, _, value in records:
        name, number = value.split("-")
        stored[name].append(int(number))
    for writer in writers:
        numbers = stored[writer.name]
        assert set(writer.acknowledged) <= set(numbers), f"{writer.name} misses what was acknowledged"
        if writer.named:
            assert numbers == list(range(len(numbers))), f"{writer.name} is not once and in order"
        assert list(dict.fromkeys(numbers)) == sorted(set(numbers)), f"{writer.name} is not in order"
    wait_for_follower(follower, records)
    acknowledged = sum(len(writer.acknowledged) for writer in writers)
    retried = sum(writer.failed for writer in writers if writer.named)
    given_up = sum(writer.failed for writer in writers if not writer.named)
    print(f"{acknowledged} records acknowledged, {len(records)} there; {retried} requests sent again, {given_up} given "
          f"up; the follower saw all, cut off {follower.cuts} times")
    assert retried + given_up + follower.cuts > 0, "nothing was hit by the kills"


def wait_for_follower(follower, records):
    for _ in range(300):
        if len(follower.seen) >= len(records):
            break
        time.sleep(0.1)
    for partition in range(PARTITIONS):
        of = lambda all_: [record for record in all_ if record[0] == partition]
        assert of(follower.seen) == of(records), f"the follower saw something else in partition {partition}"


def main():
    kaffic, work, port = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    store = sys.argv[4] if len(sys.argv) > 4 else f"file://{work}/store"
    with Pair(kaffic, work, store, port) as pair:
        refused(pair, 401, "GET", "/v1/topics", user=None)
        refused(pair, 401, "GET", "/v1/topics", user="reader:s")
        refused(pair, 403, "POST", "/v1/topics", {"name": "t"}, user="reader:r")
        pair.json("POST", "/v1/topics", {"name": "t", "partitions": PARTITIONS})
        stop = threading.Event()
        follower = Follower(pair)
        writers = [Writer(pair, number, number < NAMED, stop) for number in range(NAMED + PLAIN)]
        for thread in [follower, *writers]:
            thread.start()
        for number in [1, 2, 1, 2]:
            time.sleep(3)
            pair.kill(number)
            time.sleep(2)
            pair.start(number)
        time.sleep(1)
        stop.set()
        for writer in writers:
            writer.join(120)
            assert not writer.is_alive(), f"{writer.name} hangs"
            assert writer.fault is None, f"{writer.name}: {writer.fault!r}"
            assert len(writer.acknowledged) >= LEAST, f"{writer.name} stored {len(writer.acknowledged)} records"
        check(pair, writers, follower)


main()
