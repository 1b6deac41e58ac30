-- Edited messages. What a message says stands in its home, and between users in the other copy, too; it is
-- replaced there.
--
-- `entries.kind`, beside those before: 14 message_edited. `target_seq` is the place of the message in the owner's
-- timeline, and what the entry says is read from there: so nothing is left of it when the message is gone.

ALTER TABLE entries
    ADD COLUMN edit_no   integer,     -- of a message that was edited: how often
    ADD COLUMN edited_at timestamptz; -- and when, the last time

-- The edits of messages: what tells a retry of one and, where that is kept, what the message said before.
CREATE TABLE message_edits (
    home           bigint      NOT NULL, -- the timeline of the message's home
    home_seq       bigint      NOT NULL, -- and the place in it
    edit_no        integer     NOT NULL, -- 1, 2, 3 … of the message
    edited_at      timestamptz NOT NULL,
    client_edit_id uuid        NOT NULL,
    content_hash   bytea       NOT NULL, -- of what the message says since
    content_type   text,                 -- of what it said before
    body           bytea,                -- null where that is not kept
    PRIMARY KEY (home, home_seq, edit_no)
);
CREATE UNIQUE INDEX message_edits_client_edit_id ON message_edits (home, home_seq, client_edit_id);
