#!/usr/bin/env bash
# A table of open posts and their rankings, kept with kcat, jq and sqlite3:  ./with_kcat.sh BROKERS posts.db
#
# kcat reads a partition from the offset that the table knows to its end, jq makes SQL of the messages, and sqlite3 stores
# rows and offset in one transaction. So it may be killed at any moment, and what comes again changes nothing.
set -euo pipefail
BROKERS=$1 DB=$2 PREFIX=${TOPIC_PREFIX:-}

sqlite3 -cmd '.timeout 5000' "$DB" "
  CREATE TABLE IF NOT EXISTS posts (
    post_id TEXT PRIMARY KEY, version INTEGER DEFAULT 0, is_open INTEGER DEFAULT 0, trade TEXT, seats INTEGER,
    sequence INTEGER DEFAULT 0, top TEXT DEFAULT '[]');
  CREATE TABLE IF NOT EXISTS offsets (topic TEXT, part INTEGER, next INTEGER, PRIMARY KEY (topic, part));
  CREATE VIEW IF NOT EXISTS open_posts AS
    SELECT post_id, version, trade, seats, sequence, top FROM posts WHERE is_open;"

# One message to SQL. What is no event of version 1 only moves the offset. `WHERE excluded.… >`: only what is newer counts.
TO_SQL='
  def text: tostring | "\u0027" + gsub("\u0027"; "\u0027\u0027") + "\u0027";
  def number: if type == "number" then floor | tostring else error("no number") end;
  (.headers // [] | [range(0; length; 2) as $i | {(.[$i]): .[$i + 1]}] | add // {}) as $headers
  | . as $message | (.topic | ltrimstr($prefix)) as $topic
  | "INSERT OR REPLACE INTO offsets VALUES (\(.topic | text), \(.partition), \(.offset + 1));",
    (if $headers.ce_type != "mamapost.\($topic).v1" then empty else (try (.payload | fromjson
    | if $topic == "post-opened" then
        "INSERT INTO posts (post_id, version, is_open, trade, seats)
           VALUES (\(.post_id | text), \(.version | number), 1, \(.trade | text), \(.seats | number))
         ON CONFLICT DO UPDATE SET version = excluded.version, is_open = 1, trade = excluded.trade, seats = excluded.seats
         WHERE excluded.version > version;"
      elif $topic == "post-closed" then
        "INSERT INTO posts (post_id, version, is_open) VALUES (\(.post_id | text), \(.version | number), 0)
         ON CONFLICT DO UPDATE SET version = excluded.version, is_open = 0 WHERE excluded.version > version;"
      else
        "INSERT INTO posts (post_id, sequence, top)
           VALUES (\(.post_id | text), \(.sequence | number), \([.top[].seeker_id] | tojson | text))
         ON CONFLICT DO UPDATE SET sequence = excluded.sequence, top = excluded.top
         WHERE excluded.sequence > sequence;"
      end) catch ("left out \($topic)/\($message.partition)/\($message.offset): \(.)" | stderr | empty)) end)'

while true; do
  for topic in post-opened post-closed ranking-changed; do
    for part in 0 1 2 3 4 5; do
      next=$(sqlite3 -cmd '.timeout 5000' "$DB" "SELECT coalesce(max(next), 0) FROM offsets WHERE topic = '$PREFIX$topic' AND part = $part")
      { echo 'BEGIN;'
        kcat -q -b "$BROKERS" -C -t "$PREFIX$topic" -p $part -o "$next" -e -J -X fetch.wait.max.ms=50 |
          jq -r --arg prefix "$PREFIX" "$TO_SQL"
        echo 'COMMIT;'; } | sqlite3 -bail -cmd '.timeout 5000' "$DB" || sleep 1 # the broker is away: what was read is stored, the rest follows
    done
  done
  sleep 1
done
