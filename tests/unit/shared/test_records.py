"""What is kept of a message: where it stands, what it says, how often it was sent again."""

from __future__ import annotations

import pytest
from aiokafka import ConsumerRecord

from shared.contracts.envelope import Envelope, Header, Undecodable, encode
from shared.kernel.clock import system_clock
from shared.kernel.ids import new_id
from shared.messaging.records import REPLAYS_HEADER, records_of, replays_of
from tests.events import seeker_registered


def _message(value: bytes | None = None, *headers: Header) -> ConsumerRecord[bytes, bytes]:
    told = encode(Envelope(new_id("event"), system_clock(), seeker_registered()))
    said = told.value if value is None else value
    return ConsumerRecord(told.topic, 3, 7, 0, 0, told.key, said, None, 0, 0, (*told.headers, *headers))


def test_what_a_message_says_or_why_it_says_nothing() -> None:
    good, bad = _message(), _message(b"{")
    first, second = records_of([good, bad])
    assert (first.topic, first.partition, first.offset, first.value) == (good.topic, 3, 7, good.value)
    assert isinstance(first.found, Envelope)
    assert first.found.id.encode() == dict(good.headers)["ce_id"]
    assert isinstance(second.found, Undecodable)
    assert (second.found.reason, second.value) == ("not-json", b"{")
    assert second.found.__traceback__ is None, "it would keep the message's headers"


@pytest.mark.parametrize(("said", "count"), [(b"3", 3), (b"", 0), (b"-1", 0), (b"12345", 0), (b"x", 0)])
def test_how_often_it_was_sent_again(said: bytes, count: int) -> None:
    (record,) = records_of([_message(None, (REPLAYS_HEADER, said))])
    assert record.replays == count
    assert replays_of([(REPLAYS_HEADER, None)]) == replays_of([]) == 0


def test_a_header_that_came_after_it_hides_no_loop() -> None:
    (record,) = records_of([_message(None, (REPLAYS_HEADER, b"3"), ("of a mirror", b"1"))])
    assert record.replays == 3
