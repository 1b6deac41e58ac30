-- Conversations have a row with the place of their newest message, so that a page of the list costs a page.

-- Written by who lists the conversations, and not by a send.
CREATE TABLE conversations (
    owner        bigint NOT NULL,
    conversation bigint NOT NULL, -- as in entries
    last_seq     bigint NOT NULL, -- of its newest message; more, where that has been deleted or purged since
    PRIMARY KEY (owner, conversation)
);
CREATE INDEX conversations_newest ON conversations (owner, last_seq, conversation);

-- How far the rows have taken in the timeline. Users who have few entries have no row.
CREATE TABLE conversation_lists (
    owner         bigint PRIMARY KEY,
    folded_to     bigint NOT NULL DEFAULT 0,
    building_to   bigint, -- while rows are built from the index: what folded_to will be then
    built_down_to bigint  -- and down to which number of a conversation they are built
) WITH (fillfactor = 80);

-- What was recalled is apart from what still says something, so that a count of unread messages does
-- not have to pass by any number of recalled ones. A send writes to one of the indexes, as before, and
-- a little less.
CREATE INDEX entries_said ON entries (owner, conversation, seq) INCLUDE (sender)
    WHERE kind = 1 AND tombstone IS NULL;
CREATE INDEX entries_gone ON entries (owner, conversation, seq) INCLUDE (sender)
    WHERE kind = 1 AND tombstone <> 2;
DROP INDEX entries_conversation;

-- In groups, messages that mention the owner, and its own ones: unread mentions are those behind both the
-- read mark and the newest own message. Others have no place in it.
CREATE INDEX entries_marked_in_group ON entries (owner, conversation, seq) INCLUDE (sender)
    WHERE kind = 1 AND tombstone IS NULL AND conversation < 0 AND (sender = owner OR flags & 1 <> 0);

-- What stands before an own message counts as read, also when that message is gone.
ALTER TABLE read_marks
    ADD COLUMN answered_seq bigint NOT NULL DEFAULT 0; -- the newest own message that is gone
INSERT INTO read_marks (owner, conversation, answered_seq)
SELECT owner, conversation, max(seq) FROM entries
WHERE kind = 1 AND tombstone <> 2 AND sender = owner
GROUP BY owner, conversation
ON CONFLICT (owner, conversation) DO UPDATE SET answered_seq = excluded.answered_seq;
