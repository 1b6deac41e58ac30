-- Every entry says how many messages its timeline holds up to it, events too: so that the number is
-- there at each seq and never decreases, and the limit on messages is a search on the primary key.
-- A message that is gone leaves a tombstone: the row stays in its place, with its ids and an empty body.

UPDATE entries e
SET message_no = coalesce(
    (SELECT before.message_no FROM entries before
     WHERE before.owner = e.owner AND before.seq < e.seq AND before.kind = 1
     ORDER BY before.seq DESC LIMIT 1), 0)
WHERE e.message_no IS NULL;

ALTER TABLE entries
    ALTER COLUMN message_no SET NOT NULL,
    ADD COLUMN tombstone smallint; -- 1 recalled by its sender, 2 deleted by the owner, 3 erased with its sender

-- What its owner deleted is in no conversation any more; what was recalled still shows that it was.
DROP INDEX entries_conversation;
CREATE INDEX entries_conversation ON entries (owner, conversation, seq)
    WHERE kind = 1 AND tombstone IS DISTINCT FROM 2;
