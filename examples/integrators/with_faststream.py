"""A table of open posts and their rankings, kept with FastStream:  python with_faststream.py BROKERS posts.db

It may be killed at any moment: rows are stored before offsets, and what comes again changes nothing.
"""

import asyncio
import json
import os
import sqlite3
import sys

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

BROKERS, FILE = sys.argv[1:]
PREFIX = os.environ.get("TOPIC_PREFIX", "")  # the kit's checker plays its stream under one
SCHEMA = """
    CREATE TABLE IF NOT EXISTS posts (
        post_id TEXT PRIMARY KEY, version INTEGER DEFAULT 0, is_open INTEGER DEFAULT 0, trade TEXT, seats INTEGER,
        sequence INTEGER DEFAULT 0, top TEXT DEFAULT '[]');
    CREATE VIEW IF NOT EXISTS open_posts AS
        SELECT post_id, version, trade, seats, sequence, top FROM posts WHERE is_open;
"""
# One statement a topic. `WHERE excluded.… > …`: only what is newer counts; duplicates and old news fall away.
APPLY = {
    "post-opened": """
        INSERT INTO posts (post_id, version, is_open, trade, seats) VALUES (:post_id, :version, 1, :trade, :seats)
        ON CONFLICT DO UPDATE
        SET version = excluded.version, is_open = 1, trade = excluded.trade, seats = excluded.seats
        WHERE excluded.version > version""",
    "post-closed": """
        INSERT INTO posts (post_id, version, is_open) VALUES (:post_id, :version, 0)
        ON CONFLICT DO UPDATE SET version = excluded.version, is_open = 0 WHERE excluded.version > version""",
    "ranking-changed": """
        INSERT INTO posts (post_id, sequence, top) VALUES (:post_id, :sequence, :top)
        ON CONFLICT DO UPDATE SET sequence = excluded.sequence, top = excluded.top
        WHERE excluded.sequence > sequence""",
}


db = sqlite3.connect(FILE)
db.executescript(SCHEMA)
broker = KafkaBroker(BROKERS.split(","), logger=None)  # it would log every message twice


async def raw(message):
    """The body as it is: FastStream's own decoder would try JSON, and a handler is not asked when it fails."""
    return message.body


@broker.subscriber(
    *(PREFIX + topic for topic in APPLY),
    group_id=f"{PREFIX}posts-faststream",
    auto_offset_reset="earliest",  # a new subscriber begins at the beginning
    ack_policy=AckPolicy.NACK_ON_ERROR,  # the default stores offsets first, and loses what a crash interrupts
    fetch_max_wait_ms=50,  # the embedded broker of `make up` waits this long even if there is something
    decoder=raw,
)
async def apply(message: KafkaMessage) -> None:
    """Put one event into the table; what is no event of version 1 is told of and left out."""
    record = message.raw_message
    topic = record.topic.removeprefix(PREFIX)
    try:
        if dict(record.headers).get("ce_type") != f"mamapost.{topic}.v1".encode():
            raise ValueError("not version 1 of this topic's event")
        event = json.loads(record.value or b"")
        event["top"] = json.dumps([ranked["seeker_id"] for ranked in event.get("top", ())])
        with db:
            db.execute(APPLY[topic], event)
    except sqlite3.OperationalError as error:  # no fault of the event: nothing is committed, and it comes again
        print(f"cannot store {topic}/{record.partition}/{record.offset}: {error}", file=sys.stderr)
        await asyncio.sleep(1)
        raise
    except (ValueError, TypeError, AttributeError, sqlite3.Error) as error:
        print(f"left out {topic}/{record.partition}/{record.offset}: {error}", file=sys.stderr)


asyncio.run(FastStream(broker).run())
