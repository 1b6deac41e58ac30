-- The reason that deleted users are told, and unread messages that are counted on an index alone.

ALTER TABLE users
    ADD COLUMN deletion_note text; -- in state 3: what the administrator tells its terminals

-- Who sent a message and whether it is gone is all that a list of conversations asks of those that may
-- be unread, up to a hundred in each: the rows themselves, which lie far apart, are not read for it.
CREATE INDEX entries_in_conversation ON entries (owner, conversation, seq) INCLUDE (sender, tombstone)
    WHERE kind = 1 AND tombstone IS DISTINCT FROM 2;
DROP INDEX entries_conversation;
ALTER INDEX entries_in_conversation RENAME TO entries_conversation;

-- That takes pages whose rows are known to be visible to all. Unread messages are among the newest rows,
-- and by default the newest sixth of a large table is left as it is.
ALTER TABLE entries SET (autovacuum_vacuum_insert_scale_factor = 0.01);
