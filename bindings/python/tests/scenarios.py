"""Reads scenarios: steps, their words, and what has to come of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parents[2] / "conformance" / "scenarios"


@dataclass
class Step:
    line: int
    text: str
    verb: str
    #: Words without a ``=``.
    args: list[bytes]
    #: Words with one.
    given: list[tuple[str, bytes]]
    #: What is behind the ``->``; None where there is no ``=``.
    expected: list[tuple[str, bytes | None]]

    def arg(self, at: int) -> str:
        return self.args[at].decode() if at < len(self.args) else ""

    def value(self, name: str) -> bytes | None:
        return next((value for given, value in self.given if given == name), None)

    def number(self, name: str) -> int | None:
        value = self.value(name)
        return None if value is None else int(value)

    def settings(self) -> dict[str, str]:
        return {name: value.decode() for name, value in self.given}

    def expects(self, name: str) -> str | None:
        return next(((value or b"").decode() for given, value in self.expected if given == name), None)


def scenarios() -> list[Path]:
    return sorted(DIRECTORY.glob("*.txt"))


def steps(path: Path) -> list[Step]:
    lines = enumerate(path.read_text().splitlines(), 1)
    return [_step(number, line) for number, line in lines if line and not line.startswith("#")]


def _step(number: int, line: str) -> Step:
    does, _, comes = line.partition(" -> ")
    verb, *words = does.split(" ")
    args = [_bytes(word) for word in words if "=" not in word]
    given = [(word.partition("=")[0], _bytes(word.partition("=")[2])) for word in words if "=" in word]
    expected = [
        (name, _bytes(value) if equals else None)
        for name, equals, value in (word.partition("=") for word in comes.split(" ") if word)
    ]
    return Step(number, line, verb, args, given, expected)


def _bytes(text: str) -> bytes:
    repeat = re.fullmatch(r"repeat:(.*):(\d+)", text)
    if repeat:
        return _bytes(repeat[1]) * int(repeat[2])
    raw = text.encode()
    return re.sub(rb"%([0-9A-F]{2})", lambda hit: bytes.fromhex(hit[1].decode()), raw)


def header(raw: bytes) -> tuple[str, bytes | None]:
    name, colon, value = raw.partition(b":")
    return name.decode(), value if colon else None
