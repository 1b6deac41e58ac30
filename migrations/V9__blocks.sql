-- Whom users take no messages from.
--
-- entries.kind, beside those of V1, V4 and V6: 8 block_changed; `conversation` says which user it is
-- about, the body is `true` or `false`: whether that user is blocked from then on.

-- Read for every message behind the locks of the timelines, by its whole key.
CREATE TABLE blocks (
    owner      bigint      NOT NULL, -- who blocks
    blocked    bigint      NOT NULL, -- whom
    seq        bigint      NOT NULL, -- of the entry in the owner's timeline that says so
    blocked_at timestamptz NOT NULL,
    PRIMARY KEY (owner, blocked)
);
