-- Takes the places. The owners are sorted: this is the order of the locks.
UPDATE timelines t
SET last_seq = t.last_seq + o.entries, last_message_no = t.last_message_no + o.entries,
    last_at = greatest(t.last_at, now())
FROM unnest($1::bigint[], $2::bigint[]) o (owner, entries)
WHERE t.owner = o.owner
RETURNING t.owner, stamp(t.epoch) AS epoch, t.last_seq, t.last_at
