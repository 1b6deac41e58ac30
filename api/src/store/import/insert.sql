-- Fills places: a row for each.
INSERT INTO entries (owner, seq, conversation, sender, home_seq, message_no, appended_at, kind,
    client_message_id, content_hash, copies, content_type, body, mentions, flags, generation)
SELECT p.owner, p.seq, p.conversation, p.sender, p.home_seq, p.message_no, p.appended_at, p.kind,
    p.client_message_id, p.content_hash,
    CASE WHEN p.copy_seq IS NOT NULL THEN ARRAY[p.copy_owner, p.copy_seq] END,
    p.content_type, p.body, p.mentions::bigint[], p.flags, nullif(current_generation(), 0)
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
            $7::timestamptz[], $8::smallint[], $9::uuid[], $10::bytea[], $11::bigint[], $12::bigint[],
            $13::text[], $14::bytea[], $15::text[], $16::smallint[])
    p (owner, seq, conversation, sender, home_seq, message_no, appended_at, kind, client_message_id,
       content_hash, copy_owner, copy_seq, content_type, body, mentions, flags)
