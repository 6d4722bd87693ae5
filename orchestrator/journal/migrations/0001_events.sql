-- A run is what its events say; there is no other table. Times are Unix seconds.
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      REAL NOT NULL,
    run     TEXT NOT NULL,
    kind    TEXT NOT NULL,
    data    TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
CREATE INDEX events_by_run ON events (run, seq);
CREATE INDEX events_by_kind ON events (kind, run) WHERE kind <> 'AgentMessage';
