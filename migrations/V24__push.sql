-- How the terminal of a session is told of messages while it has no stream. One a session; it ends with it.
--
-- The timeline is the outbox: what lies between `handled_seq`, or the session's cursor where that is further,
-- and the timeline's end is what the terminal may have to be told of. Whoever does that claims the row first.
CREATE TABLE push_tokens (
    user_no       bigint      NOT NULL,
    session_id    uuid        NOT NULL,
    provider      smallint    NOT NULL, -- 1 webhook, 2 Web Push
    token         text        NOT NULL, -- of Web Push the URL of the push service
    web_key       bytea,                -- of Web Push the client's public key, and
    web_secret    bytea,                -- its secret
    content       smallint    NOT NULL, -- what is told of messages: 1 all, 2 who sent them, 3 their ids
    handled_epoch bigint      NOT NULL, -- the numbering that handled_seq is of, as clients see it
    handled_seq   bigint      NOT NULL,
    claimed_until timestamptz,          -- also when to try again after a failure
    failures      integer     NOT NULL, -- in a row
    PRIMARY KEY (user_no, session_id)
);
