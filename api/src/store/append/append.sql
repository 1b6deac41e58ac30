-- Fills the places that count.sql took. Items that must not be appended get none of theirs, and a
-- message that its recipient's block withholds gets the sender's alone: those places are given back and
-- the ones behind them move up, so that no gap is left and the batch need not run again (I5). Returns
-- those items and why.
--
-- A statement of its own behind the locks: one snapshot with them would not see what the holders of
-- those locks have just committed.
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
    FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[],
                $7::uuid[], $8::bytea[], $9::text[], $10::bytea[]) WITH ORDINALITY
        i (sender, session_id, sender_later, recipient, recipient_later, drop_if_blocked,
           client_message_id, content_hash, content_type, body, item)
    LEFT JOIN sessions s ON s.user_no = i.sender AND s.session_id = i.session_id
    LEFT JOIN timelines sent ON sent.owner = i.sender
    LEFT JOIN timelines received ON received.owner = i.recipient
    LEFT JOIN entries e ON e.owner = i.sender AND e.client_message_id = i.client_message_id
    LEFT JOIN blocks theirs ON theirs.owner = i.recipient AND theirs.blocked = i.sender
    LEFT JOIN blocks own ON own.owner = i.sender AND own.blocked = i.recipient
), held AS MATERIALIZED (
    -- What is not appended as it came; `refused` where not at all.
    SELECT *, session IS NULL OR ended_at IS NOT NULL OR seq IS NOT NULL OR recipient_blocked
        OR (sender_state = 1 AND recipient_state = 1) IS NOT TRUE
        OR (blocked AND NOT drop_if_blocked) AS refused
    FROM item
    WHERE session IS NULL OR ended_at IS NOT NULL OR seq IS NOT NULL OR recipient_blocked OR blocked
        OR (sender_state = 1 AND recipient_state = 1) IS NOT TRUE
), unfilled AS MATERIALIZED (
    SELECT item, sender AS owner FROM held WHERE refused
    UNION ALL
    SELECT item, recipient FROM held WHERE recipient <> sender
), given_back AS (
    UPDATE timelines t
    SET last_seq = t.last_seq - u.places, last_message_no = t.last_message_no - u.places
    FROM (SELECT owner, count(*) AS places FROM unfilled GROUP BY owner) u
    WHERE t.owner = u.owner
), filled AS (
    -- Two rows a message; one for a note to oneself, or where the recipient gets none.
    INSERT INTO entries (owner, seq, conversation, sender, home_seq, message_no, appended_at, kind,
        client_message_id, content_hash, copies, content_type, body)
    SELECT c.owner, c.seq, c.conversation, i.sender, i.sender_seq - before.sent, c.message_no,
        c.appended_at, 1, c.client_message_id, c.content_hash, c.copies, i.content_type, i.body
    FROM item i
    LEFT JOIN held h USING (item)
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE u.owner = i.sender) AS sent,
            count(*) FILTER (WHERE u.owner = i.recipient) AS received
        FROM unfilled u WHERE u.item < i.item
    ) before
    CROSS JOIN LATERAL (VALUES
        (i.sender, i.sender_seq - before.sent, i.recipient, i.sender_message_no - before.sent,
         i.sender_at, i.client_message_id, i.content_hash,
         CASE WHEN h.item IS NULL AND i.recipient_seq IS NOT NULL
             THEN ARRAY[i.recipient, i.recipient_seq - before.received] END),
        (i.recipient, CASE WHEN h.item IS NULL THEN i.recipient_seq - before.received END, i.sender,
         i.recipient_message_no - before.received, i.recipient_at, NULL, NULL, NULL)
    ) c (owner, seq, conversation, message_no, appended_at, client_message_id, content_hash, copies)
    WHERE c.seq IS NOT NULL AND h.refused IS NOT TRUE
)
SELECT item, refused, session, ended_at, end_reason, ended_by_type, ended_by_device_name, end_note,
    sender_state, recipient_state, epoch, seq, conversation, earlier_hash, appended_at, copies,
    blocked, recipient_blocked
FROM held
