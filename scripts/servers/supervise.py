"""Runs a command between the start and the stop of its servers.

    supervise.py --tools DIR NAME… -- COMMAND…
    supervise.py --tools DIR NAME… --hold
"""

import argparse
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import control
from process import Failed
from servers import ALL

COMMAND_STOP_S = 10
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(text):
    print(f"servers: {text}", file=sys.stderr, flush=True)


def end(number, _frame):
    raise SystemExit(128 + number)


def parse():
    before, separator, command = split(sys.argv[1:])
    parser = argparse.ArgumentParser(prog="scripts/servers/run", usage="%(prog)s NAME… (-- COMMAND… | --hold)")
    parser.add_argument("--tools", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--hold", action="store_true", help="keep the servers running until Ctrl-C")
    parser.add_argument("names", nargs="+", metavar="NAME", choices=list(ALL), help=f"one of: {', '.join(ALL)}")
    args = parser.parse_args(before)
    if args.hold == bool(command):
        parser.error("give either a command after -- or --hold")
    args.names = list(dict.fromkeys(args.names))
    return args, command


def split(argv):
    at = argv.index("--") if "--" in argv else len(argv)
    return argv[:at], argv[at : at + 1], argv[at + 1 :]


def start_all(servers):
    """All at once, since most of a start is waiting."""
    began = time.monotonic()
    for server in servers:
        server.launch()
    for server in servers:
        server.wait_until_ready()
        say(f"{server.name} is up after {time.monotonic() - began:.1f} s")


def hold(environment):
    for name, value in environment.items():
        print(f"export {name}={shlex.quote(value)}", flush=True)
    say("running until Ctrl-C")
    signal.pause()


def run(command, environment):
    try:
        child = subprocess.Popen(command, env={**os.environ, **environment})
    except OSError as error:
        raise Failed(f"the command did not start: {error}") from error
    try:
        status = child.wait()
        return status if status >= 0 else 128 - status
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(COMMAND_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def main():
    args, command = parse()
    for number in ENDING:
        signal.signal(number, end)
    directory = tempfile.mkdtemp(prefix="kaffic-servers-")
    servers = []
    try:
        for name in args.names:
            servers.append(ALL[name](args.tools.resolve(), directory))
        start_all(servers)
        environment = {"KAFFIC_TEST_SERVERS": f"{directory}/control"}
        for server in servers:
            environment.update(server.environment())
        listener = control.listen(environment["KAFFIC_TEST_SERVERS"])
        # One thread for as long as this process lives: the kernel kills a server when the thread that started it ends.
        threading.Thread(target=control.serve, args=(listener, servers), daemon=True).start()
        return hold(environment) if args.hold else run(command, environment)
    except Failed as error:
        say(error)
        return 1
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        for server in servers:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
