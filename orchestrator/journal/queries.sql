-- name: add_event
INSERT INTO events (at, run, kind, data) VALUES (?, ?, ?, ?);

-- name: read_run
SELECT seq, at, run, kind, data FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?;

-- name: list_runs
SELECT
    begun.run                                     AS run,
    json_extract(begun.data, '$.name')            AS name,
    json_extract(ended.data, '$.status')          AS status,
    begun.at                                      AS started,
    (SELECT at FROM events WHERE run = begun.run ORDER BY seq DESC LIMIT 1) AS last_event,
    json_extract(ended.data, '$.wall')            AS wall_s,
    (SELECT count(*) FROM events WHERE kind = 'TaskAdded' AND run = begun.run
        AND json_extract(data, '$.task_kind') <> 'loop') AS tasks,
    (SELECT count(*) FROM events WHERE kind = 'TaskFinished' AND run = begun.run
        AND json_extract(data, '$.status') = 'done'
        AND NOT json_extract(data, '$.loop'))     AS ok,
    (SELECT count(*) FROM events WHERE kind = 'TaskFinished' AND run = begun.run
        AND json_extract(data, '$.status') = 'failed'
        AND NOT json_extract(data, '$.loop'))     AS failed,
    (SELECT coalesce(sum(json_extract(data, '$.cost_usd')), 0.0) FROM events
        WHERE kind = 'AttemptFinished' AND run = begun.run) AS cost_usd,
    json_extract(begun.data, '$.upstream')        AS upstream,
    json_extract(begun.data, '$.plan')            AS plan,
    json_extract(begun.data, '$.pid')             AS pid,
    json_extract(begun.data, '$.process_started') AS process_started
FROM (
    SELECT seq, run, at, data FROM events
    WHERE kind = 'RunStarted'
        AND (substr(run, 1, length(:wanted)) = :wanted OR json_extract(data, '$.name') = :wanted)
    ORDER BY seq DESC
    LIMIT :most
) AS begun
LEFT JOIN events AS ended ON ended.kind = 'RunFinished' AND ended.run = begun.run
ORDER BY begun.seq DESC;
