-- Files that messages have with them. Their bytes stand elsewhere: in a folder, or in a bucket of a cloud.

CREATE TABLE attachments (
    attachment_id uuid        PRIMARY KEY,       -- a UUIDv7
    owner         bigint      NOT NULL,          -- who uploads it
    file_name     text        NOT NULL,
    content_type  text        NOT NULL,
    size          bigint      NOT NULL,          -- bytes
    sha256        bytea,                         -- null where its owner has not said
    state         smallint    NOT NULL DEFAULT 1, -- 1 waits for the upload, 2 stored, 3 going
    object        uuid,                          -- under which name its bytes are there; null until they are
    upload_open   boolean     NOT NULL,          -- whether the bucket may have uploads of it beside that
    created_at    timestamptz NOT NULL,
    -- Since when no message may have it any more, or, of one that is new, when it is too late to use it. Whoever
    -- collects looks whether that is so, and sets it to null where it is not.
    unused_since  timestamptz
);
CREATE INDEX attachments_owner ON attachments (owner, attachment_id) INCLUDE (size);
CREATE INDEX attachments_unused ON attachments (unused_since) WHERE unused_since IS NOT NULL;
CREATE INDEX attachments_going ON attachments (attachment_id) WHERE state = 3;
CREATE INDEX attachments_open ON attachments (attachment_id) WHERE upload_open;

-- Which messages have which: by the places where their texts stand, as in search_index.
CREATE TABLE attachment_uses (
    attachment_id uuid   NOT NULL,
    owner         bigint NOT NULL, -- a user's timeline, or a group's
    seq           bigint NOT NULL, -- the message's place in it
    PRIMARY KEY (attachment_id, owner, seq)
);
CREATE INDEX attachment_uses_place ON attachment_uses (owner, seq);

-- What is shown of them with the message: JSON. At the home of a message, and between users in the other copy, too.
ALTER TABLE entries ADD COLUMN attachments text;
