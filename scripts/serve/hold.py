"""What clients that mean no good, or that are many, do to a server: its memory, and what they are told.

    hold.py URL PID [STREAMS]
"""

import asyncio
import json
import re
import sys
import time
from urllib.parse import urlsplit

URL, PID = urlsplit(sys.argv[1]), int(sys.argv[2])
STREAMS = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000


# What the server may have, whatever is done to it, in MiB: its bounds for bodies and answers are 768 together.
MOST = 1500


def check(fits, what):
    assert fits, what
    assert memory() < MOST, f"{memory():.0f} MiB"


def memory():
    """The process's memory now, in MiB."""
    with open(f"/proc/{PID}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


async def connect(head, body=b""):
    reader, writer = await asyncio.open_connection(URL.hostname, URL.port, limit=1 << 16)
    writer.write(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
    return reader, writer


async def ask(method, path, body=None):
    text = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\nHost: x\nConnection: close\nContent-Type: application/json\nContent-Length: {len(text)}\n"
    reader, writer = await connect(head, text)
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1])


async def streams():
    before, begun = memory(), time.monotonic()
    gate = asyncio.Semaphore(200)

    async def follow():
        async with gate:
            reader, writer = await connect("GET /v1/topics/t/stream HTTP/1.1\nHost: x\n")
            head = await reader.readuntil(b": open\n\n")
            assert b" 200 " in head, head
        return reader, writer

    open_ = await asyncio.gather(*(follow() for _ in range(STREAMS)))
    print(f"{STREAMS} idle streams: opened in {time.monotonic() - begun:.1f} s, memory {before:.0f} to {memory():.0f} MiB")
    begun = time.monotonic()
    waiting = [asyncio.ensure_future(reader.readuntil(b"\"hello\"")) for reader, _ in open_]
    assert await ask("POST", "/v1/topics/t/records", {"value": "hello"}) == 200
    await asyncio.wait_for(asyncio.gather(*waiting), 120)
    print(f"a record reached all of them within {time.monotonic() - begun:.2f} s, memory {memory():.0f} MiB")
    check(memory() - before < STREAMS / 10, "an idle stream takes more than 100 KiB")
    for _, writer in open_:
        writer.close()


async def slow_heads(count=2000):
    begun = time.monotonic()
    slow = [await asyncio.open_connection(URL.hostname, URL.port) for _ in range(count)]

    async def drip(reader, writer):
        for byte in b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 1000:
            writer.write(bytes([byte]))
            try:
                await writer.drain()
            except OSError:
                break
            if reader.at_eof():
                break
            await asyncio.sleep(1)
        rest = await reader.read()
        return rest[:12]

    dripping = [asyncio.ensure_future(drip(*pair)) for pair in slow]
    await asyncio.sleep(2)
    held, health = memory(), await ask("GET", "/healthz")
    answers = await asyncio.gather(*dripping, return_exceptions=True)
    kinds = {str(answer) for answer in answers}
    print(f"{count} heads of a byte a second: memory {held:.0f} MiB, others get {health} meanwhile; all sent away "
          f"after {time.monotonic() - begun:.0f} s: {', '.join(sorted(kinds))}")
    check(health == 200, f"others get {health}")
    check(not any(" 200 " in kind for kind in kinds), kinds)


async def huge_bodies(count=50):
    most = 0

    async def send():
        nonlocal most
        head = ("POST /v1/topics/t/records HTTP/1.1\nHost: x\nContent-Type: application/octet-stream\n"
                "Transfer-Encoding: chunked\n")
        reader, writer = await connect(head)
        answer = asyncio.ensure_future(reader.readuntil(b"\r\n"))
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        sent = 0
        try:
            while sent < 1 << 30 and not answer.done():
                writer.write(chunk)
                sent += len(chunk)
                await asyncio.wait_for(writer.drain(), 10)
                most = max(most, memory())
        except (OSError, asyncio.TimeoutError):
            pass
        try:
            return (await asyncio.wait_for(answer, 5)).split()[1].decode()
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            return "cut off"
        finally:
            writer.close()

    answers = await asyncio.gather(*(send() for _ in range(count)))
    print(f"{count} bodies of 1 GiB: {sorted(set(answers))}, memory at most {most:.0f} MiB")
    check(set(answers) <= {"413", "503", "cut off"} and "413" in answers, answers)
    check(most < MOST, most)


async def nonsense(count=500):
    bodies = [b"", b"{", b"[" * 100_000, b'{"value": ' * 10_000, b'{"records": [' + b"{}," * 100_000 + b"{}]}", b"\xff\xfe", b"null"]
    seen = {}
    for number in range(count):
        body = bodies[number % len(bodies)]
        head = f"POST /v1/topics/t/records HTTP/1.1\nHost: x\nConnection: close\nContent-Type: application/json\nContent-Length: {len(body)}\n"
        reader, writer = await connect(head, body)
        status = (await reader.read()).split()[1].decode()
        writer.close()
        seen[status] = seen.get(status, 0) + 1
    print(f"{count} bodies of nonsense: {seen}, memory {memory():.0f} MiB")
    check(set(seen) == {"400"}, seen)


async def main():
    assert await ask("POST", "/v1/topics", {"name": "t"}) == 201
    print(f"at rest: {memory():.0f} MiB")
    await nonsense()
    await huge_bodies()
    await streams()
    await slow_heads()
    assert await ask("GET", "/readyz") == 200
    print(f"afterwards it works: {memory():.0f} MiB")


asyncio.run(main())
