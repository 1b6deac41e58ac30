-- Generations of the database. When another server takes over that may lack what was acknowledged, seqs
-- go back and are given out again. A new generation starts then: every timeline is numbered anew (its
-- epoch as clients see it holds the generation, so that no row of `timelines` is touched), and a message
-- in a place that was given out before has another id.

CREATE TABLE generations (
    generation        smallint    PRIMARY KEY,
    started_at        timestamptz NOT NULL DEFAULT now(),
    reason            text        NOT NULL,
    -- The server that was last seen: of which cluster, as initdb made it, and after how many promotions
    -- (PostgreSQL's own timelines). Null until a node has looked.
    system_identifier text,
    wal_timeline      bigint,
    -- Whether its commits waited for a standby, and when that was last so.
    synchronous       boolean     NOT NULL DEFAULT false,
    seen_at           timestamptz NOT NULL DEFAULT now()
);
INSERT INTO generations (generation, reason) VALUES (0, 'the first');

-- Messages and what is about one: the generation in which its home was written; null for the first.
ALTER TABLE entries ADD COLUMN generation smallint;

-- The generation that this connection works in.
CREATE FUNCTION current_generation() RETURNS bigint LANGUAGE sql STABLE
    AS $$ SELECT coalesce(nullif(current_setting('imd.generation', true), ''), '0')::bigint $$;

-- The stamp of a timeline's numbering as clients see it. An epoch of its own counts seconds since 1970 and
-- needs less than 36 bits for the next two thousand years.
CREATE FUNCTION stamp(epoch bigint) RETURNS bigint LANGUAGE sql STABLE
    AS $$ SELECT epoch + (current_generation() << 36) $$;
