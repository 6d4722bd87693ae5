-- Results are found again by the key of what determined them.
CREATE INDEX events_by_key ON events (json_extract(data, '$.key')) WHERE kind = 'TaskFinished';
-- What the CLI wrote down of a session, in the pieces in which it came.
CREATE TABLE transcripts (
    seq         INTEGER PRIMARY KEY,
    at          REAL NOT NULL,
    project_key TEXT NOT NULL,
    session_id  TEXT NOT NULL,
    subpath     TEXT NOT NULL,  -- empty for the session's own transcript, else its subagent's
    lines       BLOB NOT NULL   -- a JSON array, compressed as xz
) STRICT;
CREATE INDEX transcripts_by_project ON transcripts (project_key, session_id, subpath);
CREATE INDEX transcripts_by_session ON transcripts (session_id);
