"""Exceptions: one class for each kind of failure, all of them :class:`KafficError`.

>>> import kaffic
>>> client = kaffic.connect("memory://")
>>> try:
...     client.describe_topic("orders")
... except kaffic.TopicNotFound as error:
...     print(error.status, error.retriable)
TOPIC_NOT_FOUND False
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaffic._kaffic import Ack


class KafficError(Exception):
    """A call failed; the message says what happened, to which topic or object, and what to do."""

    #: What kind of failure it is, by the name that it has in all languages.
    status: str = "INTERNAL"
    #: The same call may succeed later without anything being changed.
    retriable: bool = False
    #: It can't be known whether the records were written. Without this they were not.
    outcome_unknown: bool = False
    #: For :class:`OffsetOutOfRange`: the first offset that is there behind the wanted one.
    earliest: int | None = None
    #: For :class:`OffsetOutOfRange` and :class:`ConditionFailed`: the offset that the next record gets.
    tail: int | None = None
    #: Where records were sent together: what became of each, in their order.
    outcomes: list[Ack | KafficError] | None = None

    def __reduce__(self) -> tuple[object, ...]:
        # The fields apart: among the outcomes is the exception itself.
        return again, (type(self), self.args), self.__dict__


class InvalidArgument(KafficError, ValueError):
    """A name, number, URL or value is not acceptable. Correct the call."""


class UnknownSetting(InvalidArgument):
    """There is no setting of that name. Correct the name."""


class Closed(KafficError):
    """The client, producer or consumer was closed. Make a new one."""


class Forked(KafficError):
    """The process was forked since the handle was made. Make a new client in the child."""


class InCallback(KafficError):
    """The call would wait, and was made from within a callback. Make it after the callback."""


class KafficTimeout(KafficError, TimeoutError):
    """The time allowed for the call has run out. It may be tried again."""


class QueueFull(KafficError):
    """The producer's buffer is full. Try again later."""


class Interrupted(KafficError):
    """The wait was ended by ``wakeup()``."""


class TopicNotFound(KafficError):
    """The topic does not exist, or was deleted. Create it, or correct its name."""


class TopicExists(KafficError):
    """A topic of that name exists already. Use it, or delete it first."""


class OffsetOutOfRange(KafficError):
    """The offset has expired or does not exist yet; ``earliest`` and ``tail`` say what remains."""


class ConditionFailed(KafficError):
    """An append with an expected offset met another tail, which is ``tail``. Decide anew."""


class Fenced(KafficError):
    """Another has taken over: a newer producer of the name, or the partition's present owner."""


class GroupNotFound(KafficError):
    """The group does not exist, or was deleted. Correct its name, or join it."""


class GroupNotEmpty(KafficError):
    """The group has members, and only they may change its offsets. Stop them first."""


class Unavailable(KafficError):
    """The storage did not answer, or not usefully. Trying again can help."""


class Denied(KafficError):
    """The storage refused: credentials or permissions. Mend them."""


class UnsafeStore(KafficError):
    """The storage does not keep the contract that kaffic rests on, so it must not be used."""


class ClockSkew(KafficError):
    """This machine's clock and the storage's stamps disagree too far. Set the clock."""


class Corrupt(KafficError):
    """Stored bytes are damaged, foreign or altered; the message names the object."""


class Unsupported(KafficError):
    """Stored data was written by a newer version in a way that this one can't read. Upgrade."""


class RecordTooLarge(KafficError):
    """A record is larger than the limit. Make it smaller or raise the limit."""


class InternalError(KafficError):
    """A defect in kaffic. Please report it with the message."""


_BY_STATUS: dict[str, type[KafficError]] = {
    "NULL_ARGUMENT": InvalidArgument,
    "INVALID_UTF8": InvalidArgument,
    "INVALID_ARGUMENT": InvalidArgument,
    "UNKNOWN_SETTING": UnknownSetting,
    "CLOSED": Closed,
    "FORKED": Forked,
    "IN_CALLBACK": InCallback,
    "TIMED_OUT": KafficTimeout,
    "QUEUE_FULL": QueueFull,
    "INTERRUPTED": Interrupted,
    "TOPIC_NOT_FOUND": TopicNotFound,
    "TOPIC_EXISTS": TopicExists,
    "OFFSET_OUT_OF_RANGE": OffsetOutOfRange,
    "CONDITION_FAILED": ConditionFailed,
    "FENCED": Fenced,
    "GROUP_NOT_FOUND": GroupNotFound,
    "GROUP_NOT_EMPTY": GroupNotEmpty,
    "UNAVAILABLE": Unavailable,
    "DENIED": Denied,
    "UNSAFE_STORE": UnsafeStore,
    "CLOCK_SKEW": ClockSkew,
    "CORRUPT": Corrupt,
    "UNSUPPORTED": Unsupported,
    "RECORD_TOO_LARGE": RecordTooLarge,
    "INTERNAL": InternalError,
    "PANIC": InternalError,
}


def make(
    status: str,
    message: str,
    retriable: bool = False,
    outcome_unknown: bool = False,
    earliest: int | None = None,
    tail: int | None = None,
) -> KafficError:
    """For the native half: the exception for a status.

    >>> from kaffic.errors import make
    >>> make("CONDITION_FAILED", "another tail", tail=7).tail
    7
    """
    error = _BY_STATUS.get(status, InternalError)(message)
    error.status = status
    error.retriable = retriable
    error.outcome_unknown = outcome_unknown
    error.earliest = earliest
    error.tail = tail
    return error


def again(kind: type[KafficError], args: tuple[object, ...]) -> KafficError:
    """For ``pickle``: the exception, without its fields.

    >>> import pickle, kaffic.errors
    >>> pickle.loads(pickle.dumps(kaffic.errors.make("FENCED", "gone"))).status
    'FENCED'
    """
    return kind(*args)
