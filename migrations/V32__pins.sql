-- Pinned messages. Between two users each has a row of its own for its copy; a message of a group has one row, that of
-- its home.
--
-- `entries.kind`, beside those before: 17 message_pinned. `target_seq` is the place of the message in the owner's
-- timeline. Of a group's message the entry stands in the group's timeline, and members refer to it.

CREATE TABLE pinned_messages (
    owner        bigint      NOT NULL, -- a user's timeline, or a group's
    seq          bigint      NOT NULL, -- the message's place in it
    conversation bigint      NOT NULL, -- as in entries
    pinned_by    bigint      NOT NULL,
    pinned_at    timestamptz NOT NULL,
    PRIMARY KEY (owner, seq)
);
CREATE INDEX pinned_messages_conversation ON pinned_messages (owner, conversation, pinned_at);
