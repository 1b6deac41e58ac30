-- Deleting users, and importing messages from elsewhere.

-- users.state: 1 active, 2 disabled, 3 deleted. The row of a deleted user stays as a tombstone, so that
-- the id is never given out again and peers' copies still say whose they are.
ALTER TABLE users
    ADD COLUMN deleted_at timestamptz; -- set in state 3

-- timelines.state: 1 open, 2 an import fills it and nothing else may, 3 its user is deleted.
ALTER TABLE timelines
    ADD COLUMN state smallint NOT NULL DEFAULT 1;

-- entries.kind, beside those of V1 and V4: 7 messages_erased.

-- Users whose timeline is still on its way out.
CREATE TABLE deletions (
    user_no    bigint      PRIMARY KEY,
    erase_sent boolean     NOT NULL,              -- whether peers' copies of what the user sent go, too
    worked_at  timestamptz NOT NULL DEFAULT now() -- the last batch: one that rests is taken up again
);

-- With whom a user on its way out has conversations, and how far the peer's copies are erased.
CREATE TABLE deletion_peers (
    user_no   bigint NOT NULL,
    peer      bigint NOT NULL,
    erased_to bigint NOT NULL DEFAULT 0, -- a place in the peer's timeline
    PRIMARY KEY (user_no, peer)
);

-- The timelines in state 2, and which import is to open them.
CREATE TABLE imports (
    owner     bigint PRIMARY KEY,
    import_id uuid   NOT NULL
);
CREATE INDEX imports_import ON imports (import_id, owner);
