"""Values as JSON, for programs whose records are: nothing of kaffic itself knows of it.

>>> import kaffic, kaffic.json
>>> with kaffic.connect("memory://") as client:
...     topic = client.create_topic("orders")
...     with client.producer("orders") as producer:
...         ack = producer.send(kaffic.json.dumps({"coffees": 2})).result()
...     with client.consumer("orders", until="latest") as consumer:
...         print([kaffic.json.value(record) for record in consumer])
[{'coffees': 2}]
"""

from __future__ import annotations

import json
from typing import Any

from kaffic._kaffic import ConsumerRecord

__all__ = ["dumps", "loads", "value"]


def dumps(value: object) -> bytes:
    """JSON in UTF-8, without spaces. Raises TypeError or ValueError for what JSON has not, NaN too.

    >>> import kaffic.json
    >>> kaffic.json.dumps({"name": "Zoë"})
    b'{"name":"Zo\\xc3\\xab"}'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def loads(content: bytes | None) -> Any:
    """What JSON says; None for null. Raises ValueError (``json.JSONDecodeError``) for anything else.

    >>> import kaffic.json
    >>> kaffic.json.loads(b'[1, 2]'), kaffic.json.loads(None)
    ([1, 2], None)
    """
    return None if content is None else json.loads(content)


def value(record: ConsumerRecord) -> Any:
    """What a record's value says; ValueError names the record where it is no JSON.

    >>> import kaffic, kaffic.json
    >>> kaffic.json.value(kaffic.ConsumerRecord("orders", 0, 7, 0, value=b'{"coffees":2}'))
    {'coffees': 2}
    >>> kaffic.json.value(kaffic.ConsumerRecord("orders", 0, 7, 0, value=b"{"))
    Traceback (most recent call last):
    ValueError: topic orders partition 0 offset 7: the value is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
    """
    try:
        return loads(record.value)
    except ValueError as error:
        at = f"topic {record.topic} partition {record.partition} offset {record.offset}"
        raise ValueError(f"{at}: the value is no JSON: {error}") from error
