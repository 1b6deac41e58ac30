-- Finds the items that must not be appended as they are. A statement of its own behind the locks: one
-- snapshot with them would not see what the holders of those locks have just committed.
SELECT i.item, s.session_id, s.ended_at, s.end_reason, s.ended_by_type, s.ended_by_device_name,
    s.end_note, t.epoch, e.seq, e.conversation, e.content_hash, e.appended_at, e.copies,
    theirs.owner IS NOT NULL AS blocked, own.owner IS NOT NULL AS recipient_blocked
FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[])
    i (item, sender, session_id, client_message_id, recipient)
LEFT JOIN sessions s ON s.user_no = i.sender AND s.session_id = i.session_id
LEFT JOIN timelines t ON t.owner = i.sender
LEFT JOIN entries e ON e.owner = i.sender AND e.client_message_id = i.client_message_id
LEFT JOIN blocks theirs ON theirs.owner = i.recipient AND theirs.blocked = i.sender
LEFT JOIN blocks own ON own.owner = i.sender AND own.blocked = i.recipient
WHERE s.session_id IS NULL OR s.ended_at IS NOT NULL OR e.seq IS NOT NULL
    OR theirs.owner IS NOT NULL OR own.owner IS NOT NULL
