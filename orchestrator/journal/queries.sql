-- name: add_event
INSERT INTO events (at, run, kind, data) VALUES (?, ?, ?, ?);

-- name: read_run
SELECT seq, at, run, kind, data FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?;

-- name: read_run_without_messages
SELECT seq, at, run, kind, data FROM events
WHERE run = ? AND seq > ? AND (kind <> 'AgentMessage' OR instr(data, '"type":"ResultMessage"')) ORDER BY seq LIMIT ?;

-- name: find_key
SELECT seq, at, run, kind, data FROM events
WHERE kind = 'TaskFinished' AND json_extract(data, '$.key') = ? AND json_extract(data, '$.status') = 'done'
ORDER BY seq DESC;

-- name: find_same_runs
-- The newest runs of a name and an upstream. Of all the others only the start is looked at.
SELECT run FROM events
WHERE kind = 'RunStarted' AND kind <> 'AgentMessage'
    AND json_extract(data, '$.name') = ? AND json_extract(data, '$.upstream') IS ?
GROUP BY run ORDER BY max(seq) DESC LIMIT ?;

-- name: find_lessons
-- As JSON: a text by itself would end at its first NUL.
SELECT json_extract(data, '$.task', '$.lesson') FROM events
WHERE kind = 'TaskFinished' AND kind <> 'AgentMessage' AND run = ? AND json_extract(data, '$.lesson') IS NOT NULL
ORDER BY seq DESC LIMIT ?;

-- name: list_runs
-- A run that was gone on with counts from its last RunStarted on, but for its cost and its beginning.
-- SQLite takes the index `events_by_kind` for a query that repeats the index's own condition, and for no other.
WITH
starts AS (
    SELECT run, min(seq) AS first, max(seq) AS last FROM events
    WHERE kind = 'RunStarted' AND kind <> 'AgentMessage' GROUP BY run
),
wanted AS (
    SELECT run, first, last FROM starts
    WHERE substr(run, 1, length(:wanted)) = :wanted
        OR :wanted = (SELECT json_extract(data, '$.name') FROM events WHERE seq = starts.last)
    ORDER BY last DESC
    LIMIT :most
),
begun AS (
    SELECT wanted.run, wanted.first, wanted.last, events.at, events.data
    FROM wanted CROSS JOIN events ON events.seq = wanted.last
)
SELECT
    begun.run                                     AS run,
    json_extract(begun.data, '$.name')            AS name,
    json_extract(ended.data, '$.status')          AS status,
    json_extract(ended.data, '$.complete')        AS complete,
    json_extract(begun.data, '$.pilot')           AS pilot,
    (SELECT at FROM events WHERE seq = begun.first) AS started,
    begun.at                                      AS last_started,
    (SELECT at FROM events WHERE run = begun.run ORDER BY seq DESC LIMIT 1) AS last_event,
    json_extract(ended.data, '$.wall')            AS wall_s,
    (SELECT count(*) FROM events WHERE kind = 'TaskAdded' AND kind <> 'AgentMessage'
        AND run = begun.run AND seq > begun.last AND json_extract(data, '$.task_kind') NOT IN ('loop', 'pipeline', 'vote', 'plan', 'group')) AS tasks,
    (SELECT count(*) FROM events WHERE kind = 'TaskFinished' AND kind <> 'AgentMessage'
        AND run = begun.run AND seq > begun.last AND json_extract(data, '$.status') = 'done'
        AND NOT json_extract(data, '$.loop'))     AS ok,
    (SELECT count(*) FROM events WHERE kind = 'TaskFinished' AND kind <> 'AgentMessage'
        AND run = begun.run AND seq > begun.last AND json_extract(data, '$.status') = 'failed'
        AND NOT json_extract(data, '$.loop'))     AS failed,
    (SELECT coalesce(sum(json_extract(data, '$.cost_usd')), 0.0) FROM events
        WHERE kind = 'AttemptFinished' AND kind <> 'AgentMessage' AND run = begun.run) AS cost_usd,
    json_extract(begun.data, '$.upstream')        AS upstream,
    json_extract(begun.data, '$.plan')            AS plan,
    json_extract(begun.data, '$.script')          AS script,
    json_extract(begun.data, '$.directory')       AS directory,
    coalesce(json_extract(begun.data, '$.resumed'), 0) AS resumed,
    json_extract(begun.data, '$.pid')             AS pid,
    json_extract(begun.data, '$.process_started') AS process_started
FROM begun
LEFT JOIN events AS ended ON ended.seq = (
    SELECT max(seq) FROM events
    WHERE kind = 'RunFinished' AND kind <> 'AgentMessage' AND run = begun.run AND seq > begun.last
)
ORDER BY begun.last DESC;

-- name: add_lines
INSERT INTO transcripts (at, project_key, session_id, subpath, lines) VALUES (?, ?, ?, ?, ?);

-- name: read_lines
SELECT lines FROM transcripts WHERE project_key = ? AND session_id = ? AND subpath = ? ORDER BY seq;

-- name: list_sessions
SELECT session_id, max(at) FROM transcripts WHERE project_key = ? AND subpath = '' GROUP BY session_id;

-- name: list_subpaths
SELECT DISTINCT subpath FROM transcripts WHERE project_key = ? AND session_id = ? AND subpath <> '' ORDER BY subpath;

-- name: find_session
SELECT project_key FROM transcripts WHERE session_id = ? AND subpath = '' ORDER BY seq DESC LIMIT 1;

-- name: delete_session
DELETE FROM transcripts WHERE project_key = ? AND session_id = ?;

-- name: delete_subpath
DELETE FROM transcripts WHERE project_key = ? AND session_id = ? AND subpath = ?;
