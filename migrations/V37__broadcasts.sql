-- Messages to many users at a time. The users of a broadcast are gone through in the order of `user_no`, in portions, and
-- `done_to` says how far; each has the message under a `client_message_id` that follows from the broadcast and the user, so
-- that a portion may be sent again.
CREATE TABLE broadcasts (
    broadcast_no bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    broadcast_id uuid        NOT NULL UNIQUE,    -- the caller's
    request_hash bytea       NOT NULL,           -- tells a retry from a reuse of the id
    state        smallint    NOT NULL DEFAULT 1, -- 1 running, 2 paused, 3 done, 4 aborted
    sender       bigint      NOT NULL,
    sender_id    text        NOT NULL,
    from_system  boolean     NOT NULL,
    audience     smallint    NOT NULL,           -- 1 all, 2 those of a tier, 3 those of broadcast_users
    tier         text        NOT NULL,           -- empty unless audience is 2
    content_type text,                           -- null for text
    body         bytea       NOT NULL,           -- empty once the broadcast has ended
    silent       boolean     NOT NULL,
    no_push      boolean     NOT NULL,
    bypass       boolean     NOT NULL,
    rate         integer     NOT NULL,           -- users a second; 0 for as many as can be
    created_by   text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    last_no      bigint      NOT NULL,           -- users who were made later are not among its
    done_to      bigint      NOT NULL DEFAULT 0, -- all up to this user_no are done
    total        bigint      NOT NULL,           -- how many users there were when it was made
    sent         bigint      NOT NULL DEFAULT 0,
    refused      bigint      NOT NULL DEFAULT 0,
    refusals     jsonb       NOT NULL DEFAULT '{}' -- how many, by the code of the error
) WITH (fillfactor = 50);
CREATE INDEX broadcasts_running ON broadcasts (broadcast_no) WHERE state = 1;

-- Whom a broadcast to a list is for. They go when it has ended.
CREATE TABLE broadcast_users (
    broadcast_no bigint NOT NULL,
    user_no      bigint NOT NULL,
    PRIMARY KEY (broadcast_no, user_no)
);
