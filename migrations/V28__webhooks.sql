-- Webhooks: servers of the customer's that are told of what happens, at least once and in the order of each user's
-- and group's timeline.
--
-- An event is an entry of a timeline, or a part of one, and is numbered by the entry's own place. That number comes
-- from the timeline's counter row, whose lock is held until the commit; so the events of one timeline become visible
-- in their order, and no other counter has to be locked for them. `at` is when the entry was appended, which never
-- decreases with `seq`: reading by (at, owner, seq) keeps the order of each timeline.

CREATE TABLE webhooks (
    webhook_no      integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id      uuid        NOT NULL UNIQUE,        -- a UUIDv7: its order is that of the creation
    url             text        NOT NULL,
    description     text        NOT NULL,
    kinds           smallint[]  NOT NULL,               -- of events, sorted
    state           smallint    NOT NULL DEFAULT 1,     -- 1 active, 2 paused, 3 dead, 4 gone
    secret          bytea       NOT NULL,               -- what requests are signed with
    previous_secret bytea,                              -- and, until a time, besides
    previous_until  timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    delivered_at    timestamptz,                        -- when a request was last acknowledged
    failing_since   timestamptz,                        -- since when none has been, though one was made
    failures        integer     NOT NULL DEFAULT 0,     -- requests that have failed since
    error           text        NOT NULL DEFAULT ''     -- what came of the last one that failed
) WITH (fillfactor = 50);

-- Which webhooks are told of which kind of event. Read in each transaction that writes an event, so it is a table of
-- its own, without anything else: those who append see at once whom they have to write for.
CREATE TABLE webhook_kinds (
    kind       smallint NOT NULL,
    webhook_no integer  NOT NULL,
    PRIMARY KEY (kind, webhook_no)
);

-- The timelines are divided into 16 partitions. A node that delivers leases a partition of a webhook, so that one
-- request at a time is made for it: the order of each timeline holds, and others do not wait.
CREATE TABLE webhook_partitions (
    webhook_no    integer     NOT NULL,
    partition     smallint    NOT NULL,
    lease         uuid,
    leased_until  timestamptz NOT NULL DEFAULT '-infinity',
    failures      integer     NOT NULL DEFAULT 0,           -- in a row
    failing_since timestamptz,                              -- the first of these
    retry_at      timestamptz NOT NULL DEFAULT '-infinity', -- not before
    PRIMARY KEY (webhook_no, partition)
) WITH (fillfactor = 50);

-- The events that some webhook was to be told of, kept for `webhooks.keep`. What they say stands in the timeline.
CREATE TABLE outbox (
    partition  smallint    NOT NULL,
    at         timestamptz NOT NULL,
    owner      bigint      NOT NULL,
    seq        bigint      NOT NULL,
    part       smallint    NOT NULL, -- an entry may tell of several
    kind       smallint    NOT NULL,
    generation smallint,             -- of the database when it was written; null for the first
    PRIMARY KEY (partition, at, owner, seq, part)
);

-- Those of them that a webhook has not acknowledged. Done is what has no row here, and never what lies before some
-- place: a transaction may commit an earlier one later.
CREATE TABLE webhook_queue (
    webhook_no integer     NOT NULL,
    partition  smallint    NOT NULL,
    at         timestamptz NOT NULL,
    owner      bigint      NOT NULL,
    seq        bigint      NOT NULL,
    part       smallint    NOT NULL,
    PRIMARY KEY (webhook_no, partition, at, owner, seq, part)
);

-- Has a statement that writes no events fail where some webhook is to be told of them.
CREATE FUNCTION without_webhooks(wanted boolean) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
    AS $$
    BEGIN
        IF wanted THEN
            RAISE EXCEPTION 'a webhook is to be told of this' USING ERRCODE = 'IMD01';
        END IF;
        RETURN true;
    END
    $$;
