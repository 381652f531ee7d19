"""A server's processes: started, waited for, killed, stopped."""

import ctypes
import os
import pathlib
import signal
import subprocess
import time

import obstore

import ports
import stores

START_S = 60
ASK_AGAIN_S = 0.05
STOP_S = 10
PR_SET_PDEATHSIG = 1
LOG_TAIL_LINES = 20
libc = ctypes.CDLL(None)


class Failed(Exception):
    pass


def die_with_parent():
    """Servers in sessions of their own would outlive a killed supervisor."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    port_count = 1
    survives_kill = True
    # Whether creates are atomic; the others are negative controls.
    sound = True

    def __init__(self, tools, directory):
        self.tools = tools
        self.data = pathlib.Path(directory, self.name)
        self.data.mkdir()
        self.log = pathlib.Path(directory, f"{self.name}.log")
        self.ports = ports.free(self.port_count)
        self.children = []

    def venv(self, program):
        return self.tools / "venv/bin" / program

    def node(self, program):
        return self.tools / "node/node_modules/.bin" / program

    def package(self, name, pattern):
        found = sorted(self.tools.glob(f"venv/lib/python*/site-packages/{name}/{pattern}"))
        if not found:
            raise Failed(f"{self.name}: {name} holds no program for this machine")
        return found[0]

    @staticmethod
    def script(name):
        return pathlib.Path(__file__).with_name(name)

    def environment(self):
        return {f"{self.prefix}_URL": self.url(), f"{self.prefix}_OPTIONS": stores.text_of(self.options())}

    def launch(self):
        if self.children:
            raise Failed(f"{self.name} is running")
        with self.log.open("ab") as log:
            for argv, env in self.commands():
                child = subprocess.Popen(
                    [str(arg) for arg in argv],
                    cwd=self.data,
                    env={**os.environ, **env},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
                self.children.append(child)

    def wait_until_ready(self):
        """Until an object was written and read; a server that listens may still lack its bucket or its volumes."""
        deadline = time.monotonic() + START_S
        os.environ.update(self.environment())
        while True:
            if any(child.poll() is not None for child in self.children):
                raise Failed(f"{self.name} ended while it started:\n{self.log_tail()}")
            try:
                self.make_bucket()
                store = stores.opened(self.url(), self.options())
                obstore.put(store, "ready", b"yes")
                obstore.delete(store, "ready")
                return
            except Exception as error:  # Of whatever kind: it has not come up yet, or never will.
                if time.monotonic() > deadline:
                    raise Failed(f"{self.name} not up after {START_S} s: {error}\n{self.log_tail()}") from error
                time.sleep(ASK_AGAIN_S)

    def log_tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])

    def kill(self):
        """As kill -9 does, with no chance to write anything more."""
        self.signal(signal.SIGKILL)
        for child in self.children:
            child.wait()
        self.children = []

    def stop(self):
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for child in self.children:
            try:
                child.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def signal(self, number):
        for child in self.children:
            try:
                os.killpg(child.pid, number)
            except ProcessLookupError:
                pass
