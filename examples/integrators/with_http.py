"""A table of open posts and their rankings, kept without Kafka:  python with_http.py REGISTRY_URL MATCHING_URL posts.db

Python alone. A new table begins with a snapshot; then pages follow from the cursor, which is stored with the rows.
"""

import json
import os
import sqlite3
import sys
import time
import urllib.request

TOKEN = os.environ.get("TOKEN", "none")  # services on loopback without a tokens file ask for none
SCHEMA = """
    CREATE TABLE IF NOT EXISTS posts (
        post_id TEXT PRIMARY KEY, version INTEGER DEFAULT 0, is_open INTEGER DEFAULT 0, trade TEXT, seats INTEGER,
        sequence INTEGER DEFAULT 0, top TEXT DEFAULT '[]');
    CREATE TABLE IF NOT EXISTS cursors (topic TEXT PRIMARY KEY, cursor TEXT);
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


def lines(url):
    """The JSON objects of an answer, one by one; raises on 4xx and 5xx."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        for line in answer:
            yield json.loads(line)


def apply(db, record):
    """Put one event into the table. The feed gives valid events only; a later version of one is left out."""
    topic = record["type"].split(".")[1]
    if record["type"] == f"mamapost.{topic}.v1":
        event = record["data"]
        event["top"] = json.dumps([ranked["seeker_id"] for ranked in event.get("top", ())])
        db.execute(APPLY[topic], event)


def follow(db, url, topic):
    """Take what is new on a topic; answers whether there was something."""
    stored = db.execute("SELECT cursor FROM cursors WHERE topic = ?", (topic,)).fetchone()
    with db:  # rows and cursor in one transaction: after a crash both are as before
        cursor, count = stored[0] if stored else None, 0
        if not stored:
            for record in lines(f"{url}/feeds/{topic}/snapshot"):
                if "specversion" in record:
                    apply(db, record)
                    continue
                # The last line. Without it the snapshot was torn: nothing is stored, and it is asked for again.
                cursor, stored = record["cursor"], True
        else:
            after = f"&after={cursor}" if cursor else ""
            for record in lines(f"{url}/feeds/{topic}?limit=1000{after}"):
                apply(db, record)
                cursor, count = record["id"], count + 1
        if stored:
            db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (topic, cursor))
    return count > 0


def main(registry, matching, file):
    db = sqlite3.connect(file)
    db.executescript(SCHEMA)
    owners = {"post-opened": registry, "post-closed": registry, "ranking-changed": matching}
    while True:
        try:
            news = [follow(db, url, topic) for topic, url in owners.items()]
        except OSError as error:  # a service is away for now, or an answer was cut off
            print(f"trying again: {error}", file=sys.stderr)
            news = []
        if not any(news):
            time.sleep(1)


main(*sys.argv[1:])
