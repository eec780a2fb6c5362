"""A table of open posts and their rankings, kept with confluent-kafka:  python with_confluent.py BROKERS posts.db

It may be killed at any moment: rows are stored before offsets, and what comes again changes nothing.
"""

import json
import os
import sqlite3
import sys

from confluent_kafka import Consumer, KafkaException

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


def apply(db, message):
    """Put one event into the table; what is no event of version 1 is told of and left out."""
    topic = message.topic().removeprefix(PREFIX)
    try:
        if dict(message.headers() or ()).get("ce_type") != f"mamapost.{topic}.v1".encode():
            raise ValueError("not version 1 of this topic's event")
        event = json.loads(message.value() or b"")
        event["top"] = json.dumps([ranked["seeker_id"] for ranked in event.get("top", ())])
        db.execute(APPLY[topic], event)
    except sqlite3.OperationalError:
        raise  # no fault of the event: nothing is committed, and it comes again
    except (ValueError, TypeError, AttributeError, sqlite3.Error) as error:
        print(f"left out {topic}/{message.partition()}/{message.offset()}: {error}", file=sys.stderr)


def main(brokers, file):
    db = sqlite3.connect(file)
    db.executescript(SCHEMA)
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"{PREFIX}posts-confluent",
            "session.timeout.ms": 10_000,  # who was killed holds its partitions for so long
            "auto.offset.reset": "earliest",  # a new subscriber begins at the beginning
            "enable.auto.commit": False,  # offsets are stored after the rows, never before
            "fetch.wait.max.ms": 50,  # the embedded broker of `make up` waits this long even if there is something
        }
    )
    consumer.subscribe([PREFIX + topic for topic in APPLY])
    while True:
        messages = consumer.consume(num_messages=500, timeout=1.0)
        with db:  # one transaction a batch
            for message in messages:
                if message.error() is None:
                    apply(db, message)
                elif message.error().fatal():
                    raise KafkaException(message.error())
                else:  # a broker that is away, a topic that is not there yet: the client goes on by itself
                    print(message.error(), file=sys.stderr)
        if messages:
            consumer.commit(asynchronous=False)


main(*sys.argv[1:])
