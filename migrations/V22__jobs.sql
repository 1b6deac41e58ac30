-- What the nodes do unasked. A node that finds a job due leases it for a short time, and renews the lease for as
-- long as it works; a lease that runs out is free for any other node.
CREATE TABLE jobs (
    name         text        COLLATE "C" PRIMARY KEY,
    every        interval    NOT NULL, -- from the end of a run to the next one
    due_at       timestamptz NOT NULL,
    lease        uuid,                 -- of the run under way
    leased_by    text        NOT NULL DEFAULT '',
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    started_at   timestamptz,          -- the last run
    finished_at  timestamptz,          -- the last run that succeeded
    failures     integer     NOT NULL DEFAULT 0, -- in a row
    error        text        NOT NULL DEFAULT ''  -- of the last failure; empty after a success
) WITH (fillfactor = 50);
