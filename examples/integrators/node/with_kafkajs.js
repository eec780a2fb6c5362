// A table of open posts and their rankings, kept with kafkajs:  npm install && node with_kafkajs.js BROKERS posts.db
//
// It may be killed at any moment: rows are stored before offsets, and what comes again changes nothing.
import { rmSync } from "node:fs";
import { Kafka, logLevel } from "kafkajs";
import sqlite from "node-sqlite3-wasm";

const [brokers, file] = process.argv.slice(2);
const prefix = process.env.TOPIC_PREFIX ?? "";

// This SQLite locks by a folder. One who was killed has left it behind, and nobody else writes to this file.
rmSync(`${file}.lock`, { recursive: true, force: true });
const db = new sqlite.Database(file);
db.exec(`
  CREATE TABLE IF NOT EXISTS posts (
    post_id TEXT PRIMARY KEY, version INTEGER DEFAULT 0, is_open INTEGER DEFAULT 0, trade TEXT, seats INTEGER,
    sequence INTEGER DEFAULT 0, top TEXT DEFAULT '[]');
  CREATE VIEW IF NOT EXISTS open_posts AS
    SELECT post_id, version, trade, seats, sequence, top FROM posts WHERE is_open;`);

// One statement a topic. `WHERE excluded.… > …`: only what is newer counts; duplicates and old news fall away.
const apply = {
  "post-opened": [`
    INSERT INTO posts (post_id, version, is_open, trade, seats) VALUES (?, ?, 1, ?, ?)
    ON CONFLICT DO UPDATE SET version = excluded.version, is_open = 1, trade = excluded.trade, seats = excluded.seats
    WHERE excluded.version > version`, (e) => [e.post_id, e.version, e.trade, e.seats]],
  "post-closed": [`
    INSERT INTO posts (post_id, version, is_open) VALUES (?, ?, 0)
    ON CONFLICT DO UPDATE SET version = excluded.version, is_open = 0 WHERE excluded.version > version`,
    (e) => [e.post_id, e.version]],
  "ranking-changed": [`
    INSERT INTO posts (post_id, sequence, top) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET sequence = excluded.sequence, top = excluded.top WHERE excluded.sequence > sequence`,
    (e) => [e.post_id, e.sequence, JSON.stringify(e.top.map((ranked) => ranked.seeker_id))]],
};

const kafka = new Kafka({ clientId: "posts", brokers: brokers.split(","), logLevel: logLevel.ERROR });
// maxWaitTimeInMs: the embedded broker of `make up` waits this long even if there is something.
// sessionTimeout: who was killed holds its partitions for so long.
const consumer = kafka.consumer({
  groupId: `${prefix}posts-kafkajs`, maxWaitTimeInMs: 50, sessionTimeout: 10_000, rebalanceTimeout: 10_000,
});
await consumer.connect();
await consumer.subscribe({ topics: Object.keys(apply).map((topic) => prefix + topic), fromBeginning: true });
await consumer.run({
  eachBatchAutoResolve: true, // offsets are committed when the function below has returned, never before
  eachBatch: async ({ batch }) => {
    const topic = batch.topic.slice(prefix.length);
    const [sql, values] = apply[topic];
    const rows = [];
    for (const { headers, value, offset } of batch.messages) {
      try {
        if (String(headers?.ce_type) !== `mamapost.${topic}.v1`) throw new Error("not version 1 of this topic's event");
        const row = values(JSON.parse(value));
        if (!row.every((field) => ["string", "number"].includes(typeof field))) throw new Error("a field is missing");
        rows.push(row);
      } catch (error) { // what is no event of version 1 is told of and left out
        console.error(`left out ${topic}/${batch.partition}/${offset}: ${error.message}`);
      }
    }
    db.exec("BEGIN");
    try {
      for (const row of rows) db.run(sql, row);
      db.exec("COMMIT");
    } catch (error) { // no fault of the events: nothing is committed, and they come again
      if (db.inTransaction) db.exec("ROLLBACK");
      throw error;
    }
  },
});
