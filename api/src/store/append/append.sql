-- Fills the places that count.sql took, and returns nothing; or, if any item must not be appended as it
-- is, gives all places back and returns those items. A statement of its own behind the locks: one
-- snapshot with them would not see what the holders of those locks have just committed.
WITH item AS MATERIALIZED (
    SELECT i.*, s.session_id AS session, s.ended_at, s.end_reason, s.ended_by_type,
        s.ended_by_device_name, s.end_note,
        sent.state AS sender_state, received.state AS recipient_state, sent.epoch,
        sent.last_seq - i.sender_later AS sender_seq,
        sent.last_message_no - i.sender_later AS sender_message_no, sent.last_at AS sender_at,
        received.last_seq - i.recipient_later AS recipient_seq,
        received.last_message_no - i.recipient_later AS recipient_message_no,
        received.last_at AS recipient_at,
        e.seq, e.conversation, e.content_hash AS earlier_hash, e.appended_at, e.copies,
        theirs.owner IS NOT NULL AS blocked, own.owner IS NOT NULL AS recipient_blocked
    FROM unnest($3::bigint[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::uuid[], $9::bytea[], $10::text[], $11::bytea[]) WITH ORDINALITY
        i (sender, session_id, sender_later, recipient, recipient_later,
           client_message_id, content_hash, content_type, body, item)
    LEFT JOIN sessions s ON s.user_no = i.sender AND s.session_id = i.session_id
    LEFT JOIN timelines sent ON sent.owner = i.sender
    LEFT JOIN timelines received ON received.owner = i.recipient
    LEFT JOIN entries e ON e.owner = i.sender AND e.client_message_id = i.client_message_id
    LEFT JOIN blocks theirs ON theirs.owner = i.recipient AND theirs.blocked = i.sender
    LEFT JOIN blocks own ON own.owner = i.sender AND own.blocked = i.recipient
), refused AS MATERIALIZED (
    SELECT * FROM item
    WHERE session IS NULL OR ended_at IS NOT NULL OR seq IS NOT NULL OR recipient_blocked
        OR blocked <> (recipient_later IS NULL AND recipient <> sender)
        OR (sender_state = 1 AND recipient_state = 1) IS NOT TRUE
), given_back AS (
    UPDATE timelines t
    SET last_seq = t.last_seq - o.entries, last_message_no = t.last_message_no - o.entries
    FROM unnest($1::bigint[], $2::bigint[]) o (owner, entries)
    WHERE t.owner = o.owner AND EXISTS (SELECT FROM refused)
), filled AS (
    -- Two rows a message; one for a note to oneself, or where the recipient gets none.
    INSERT INTO entries (owner, seq, conversation, sender, sender_seq, message_no, appended_at, kind,
        client_message_id, content_hash, copies, content_type, body)
    SELECT c.owner, c.seq, c.conversation, i.sender, i.sender_seq, c.message_no, c.appended_at, 1,
        c.client_message_id, c.content_hash, c.copies, i.content_type, i.body
    FROM item i
    CROSS JOIN LATERAL (VALUES
        (i.sender, i.sender_seq, i.recipient, i.sender_message_no, i.sender_at, i.client_message_id,
         i.content_hash,
         CASE WHEN i.recipient_seq IS NOT NULL THEN ARRAY[i.recipient, i.recipient_seq] END),
        (i.recipient, i.recipient_seq, i.sender, i.recipient_message_no, i.recipient_at,
         NULL, NULL, NULL)
    ) c (owner, seq, conversation, message_no, appended_at, client_message_id, content_hash, copies)
    WHERE c.seq IS NOT NULL AND NOT EXISTS (SELECT FROM refused)
)
SELECT item, session, ended_at, end_reason, ended_by_type, ended_by_device_name, end_note,
    sender_state, recipient_state, epoch, seq, conversation, earlier_hash, appended_at, copies,
    blocked, recipient_blocked
FROM refused
