"""Checks running servers for what kaffic builds on.

    check.py NAME…   under scripts/servers/run; a negative control has to fail
"""

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import obstore
from obstore.exceptions import AlreadyExistsError

import control
from servers import ALL, opened_from_environment

RACES, WRITERS = 20, 16
CLOCK_S = 5
KILLS = 3
BEFORE_KILL_S = 0.5


class Wrong(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Wrong(what)


def creates(store, key, value):
    """Whether this create was the one that made the object."""
    try:
        obstore.put(store, key, value, mode="create")
        return True
    except AlreadyExistsError:
        return False


def read(store, key):
    return obstore.get(store, key).bytes().to_bytes()


def keys(store, prefix, **more):
    return sorted(entry["path"] for batch in obstore.list(store, prefix, **more) for entry in batch)


def create_if_absent(store):
    expect(creates(store, "create/one", b"first"), "the first create failed")
    expect(not creates(store, "create/one", b"second"), "the second create succeeded")
    expect(read(store, "create/one") == b"first", "the second create's bytes are there")


def races(store):
    several = []
    with ThreadPoolExecutor(WRITERS) as pool:
        for race in range(RACES):
            key, together = f"race/{race:03}", threading.Barrier(WRITERS)

            def write(writer):
                value = b"%d" % writer * 1000
                together.wait()
                return value if creates(store, key, value) else None

            winners = [value for value in pool.map(write, range(WRITERS)) if value]
            if len(winners) != 1 or read(store, key) != winners[0]:
                several.append(len(winners))
    expect(not several, f"{len(several)} of {RACES} races had other than one winner: {several}")


def read_after_write(store):
    for length in (0, 1, 1000, 1 << 20, 8 << 20):
        data = random.randbytes(length)
        creates(store, f"size/{length}", data)
        expect(read(store, f"size/{length}") == data, f"{length} bytes read differ")
        expect(obstore.head(store, f"size/{length}")["size"] == length, f"the size of {length} bytes differs")
    try:
        obstore.get(store, "size/none")
    except FileNotFoundError:
        return
    raise Wrong("an absent key was read")


def range_get(store):
    data = bytes(range(256)) * 40
    creates(store, "range/key", data)
    for start, end in ((0, 1), (10, 20), (5000, len(data)), (0, len(data))):
        got = obstore.get_range(store, "range/key", start=start, end=end).to_bytes()
        expect(got == data[start:end], f"bytes {start} to {end} differ")


def list_with_delimiter(store):
    wanted = [f"list/{directory}/{name:04}" for directory in "abc" for name in range(12)] + ["list/top"]
    for key in wanted:
        creates(store, key, b"x")
    expect(keys(store, "list") == sorted(wanted), "the list differs")
    found = obstore.list_with_delimiter(store, "list")
    expect(sorted(found["common_prefixes"]) == ["list/a", "list/b", "list/c"], "the prefixes differ")
    expect([entry["path"] for entry in found["objects"]] == ["list/top"], "the objects beside them differ")


def list_after(store):
    for name in range(12):
        creates(store, f"after/{name:04}", b"x")
    got = keys(store, "after", offset="after/0007")
    expect(got == [f"after/{name:04}" for name in range(8, 12)], f"{len(got)} keys after the eighth of 12")


def long_list(store):
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda name: creates(store, f"long/{name:05}", b""), range(1100)))
    expect(len(keys(store, "long")) == 1100, "a list of more than a page is not whole")


def delete(store):
    creates(store, "delete/key", b"1")
    obstore.delete(store, "delete/key")
    expect(keys(store, "delete") == [], "a deleted key is listed")
    expect(creates(store, "delete/key", b"2"), "a deleted key can't be created")


def last_modified(store):
    creates(store, "clock/key", b"1")
    now = datetime.now(timezone.utc)
    listed = [entry for batch in obstore.list(store, "clock") for entry in batch]
    for entry in (obstore.head(store, "clock/key"), *listed):
        away = abs((entry["last_modified"] - now).total_seconds())
        expect(away < CLOCK_S, f"last-modified is {away:.1f} s off the clock")


def survives_kill(store, name):
    """Writes until the server dies under the writers, several times; what was acknowledged has to be there after."""
    kept = {}
    for round_ in range(KILLS):
        killed = threading.Event()

        def write(writer):
            for count in range(1_000_000):
                key, value = f"kill/{round_}-{writer}-{count}", random.randbytes(2000)
                try:
                    obstore.put(store, key, value, mode="create")
                except Exception:
                    if killed.is_set():
                        return
                    raise
                kept[key] = value

        with ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(write, writer) for writer in range(4)]
            time.sleep(BEFORE_KILL_S)
            killed.set()
            control.ask("kill", name)
            for writer in writers:
                writer.result()
        control.ask("start", name)
    with ThreadPoolExecutor(WRITERS) as pool:
        lost = sum(pool.map(lambda item: not holds(store, *item), kept.items()))
    expect(kept, "nothing was written")
    expect(lost == 0, f"{lost} of {len(kept)} acknowledged objects are lost after {KILLS} kills")
    return f"{len(kept)} objects, {KILLS} kills"


def holds(store, key, value):
    try:
        return read(store, key) == value
    except FileNotFoundError:
        return False


CHECKS = [
    create_if_absent,
    races,
    read_after_write,
    range_get,
    list_with_delimiter,
    list_after,
    long_list,
    delete,
    last_modified,
]
# What a negative control is there to fail.
ATOMICITY = {"create_if_absent", "races"}


def check(name):
    """The names of the checks that failed."""
    store = opened_from_environment(name)
    checks = [(check.__name__, check, (store,)) for check in CHECKS]
    if ALL[name].survives_kill:
        checks.append(("survives_kill", survives_kill, (store, name)))
    failed = set()
    for title, function, args in checks:
        began = time.monotonic()
        try:
            outcome = f"ok {function(*args) or ''}"
        except Exception as error:  # Any error is a failed check, and the next may still pass.
            failed.add(title)
            outcome = f"FAILED {str(error).splitlines()[0][:200]}"
        print(f"{name:10} {title:20} {time.monotonic() - began:6.2f} s  {outcome}", flush=True)
    return failed


def main():
    wrong = 0
    for name in sys.argv[1:]:
        failed = check(name)
        passed = not failed if ALL[name].sound else bool(failed & ATOMICITY)
        verdict = "as it should be" if passed else "NOT AS IT SHOULD BE"
        print(f"{name:10} {'sound' if not failed else 'not sound'}: {verdict}", flush=True)
        wrong += not passed
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
