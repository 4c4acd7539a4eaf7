-- Which replicas of the gateway live. A file has one gateway: the table is there for the pair, and stays empty.

CREATE TABLE replicas (
    id TEXT PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT;
