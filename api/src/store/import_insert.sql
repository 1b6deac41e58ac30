-- Fills the places: two rows a message; one for a note to oneself, or where the recipient gets none.
INSERT INTO entries (owner, seq, conversation, sender, home_seq, message_no, appended_at, kind,
    client_message_id, content_hash, copies, content_type, body, generation)
SELECT c.owner, c.seq, c.conversation, i.sender, i.sender_seq, c.message_no, c.appended_at, 1,
    c.client_message_id, c.content_hash, c.copies, i.content_type, i.body,
    nullif(current_generation(), 0)
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[],
            $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[],
            $9::uuid[], $10::bytea[], $11::text[], $12::bytea[])
    i (sender, sender_seq, sender_message_no, sender_at,
       recipient, recipient_seq, recipient_message_no, recipient_at,
       client_message_id, content_hash, content_type, body)
CROSS JOIN LATERAL (VALUES
    (i.sender, i.sender_seq, i.recipient, i.sender_message_no, i.sender_at, i.client_message_id,
     i.content_hash, CASE WHEN i.recipient_seq IS NOT NULL THEN ARRAY[i.recipient, i.recipient_seq] END),
    (i.recipient, i.recipient_seq, i.sender, i.recipient_message_no, i.recipient_at, NULL, NULL, NULL)
) c (owner, seq, conversation, message_no, appended_at, client_message_id, content_hash, copies)
WHERE c.seq IS NOT NULL
