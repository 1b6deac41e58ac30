-- Fills the places that count.sql took. Items that must not be appended get none of theirs, and a
-- message that its recipient's block withholds gets the sender's alone: those places are given back and
-- the ones behind them move up, so that no gap is left and the batch need not run again (I5). Returns
-- those items and why.
--
-- An item has two rows: the sender's, and that of the other timeline, a user's or a group's (below
-- zero). Between users the home is the sender's row and the other one a copy; in a group the home is
-- the group's row and the sender's a reference to it.
--
-- A recipient takes messages from whom its row of `timelines` says, or else from whom the connection's
-- setting `imd.messages_from` says, numbered as there. Its contacts are looked at only where that matters, and blocks only
-- of who has any: by functions, since what stands in the statement itself is made ready for each batch.
--
-- `quota_used`: the sender may store nothing more, as a job has counted.
--
-- An item without a session is of a backend or of the system itself, for which no session has to be live. Where
-- `drop_if_blocked` is null, a backend has asked to be let past what the recipient or the group wants: blocks,
-- contacts, membership, mutes and roles.
--
-- What stands between `groups:` and `:groups` is left out for a batch without messages to groups, which
-- spares it a fifth of what PostgreSQL computes; what stands between `quotes:` and `:quotes`, for one without
-- messages that quote another, are forwarded, have attachments or are kept from their sender: so that all others cost what
-- they would if there were none of these.
-- `own_target` and `other_target` are the places of the quoted message in the two timelines; `forwarded_from` and
-- `forwarded_at` say where a forwarded one comes from; `attachments` are those of a message, as JSON. One that is `unkept` is
-- deleted in its sender's timeline from the start.
--
-- What stands between `webhooks:` and `:webhooks` writes the events of the messages for the webhooks that are to be
-- told of them; it is left out as long as there is none. Then what stands between `no-webhooks:` and `:no-webhooks`
-- is there, which has the statement fail as soon as there is one, so that no event is missed, whoever has made it.
--
-- A statement of its own behind the locks: one snapshot with them would not see what the holders of
-- those locks have just committed.
WITH item AS MATERIALIZED (
    -- `refused`: it is not appended at all. One that is `blocked` and not refused is withheld from its recipient.
    SELECT *, no_session OR ended_at IS NOT NULL OR seq IS NOT NULL OR recipient_blocked
        OR (sender_state = 1 AND other_state = 1) IS NOT TRUE OR group_refusal IS NOT NULL
        OR accepts_from IS NOT NULL OR quota_used OR (blocked AND NOT drop_if_blocked) AS refused
    FROM (
        SELECT i.*,
            i.session_id IS NOT NULL AND s.session_id IS NULL AS no_session, s.ended_at, s.end_reason, s.ended_by_type,
            s.ended_by_device_name, s.end_note,
            sent.quota_used IS TRUE AS quota_used, sent.state AS sender_state, received.state AS other_state, sent.epoch,
            sent.last_seq - i.sender_behind AS sender_seq,
            sent.last_message_no - i.sender_behind AS sender_message_no, sent.last_at AS sender_at,
            received.last_seq - i.other_behind AS other_seq,
            received.last_message_no - i.other_behind AS other_message_no,
            received.last_at AS other_at,
            e.seq, e.conversation, e.content_hash AS earlier_hash, e.appended_at, e.copies, e.generation,
            received.has_blocks IS TRUE AND i.drop_if_blocked IS NOT NULL AND has_blocked(i.other, i.sender)
                AS blocked,
            sent.has_blocks IS TRUE AND i.drop_if_blocked IS NOT NULL AND has_blocked(i.sender, i.other)
                AS recipient_blocked,
            -- From whom the recipient takes messages, where that leaves the sender out; else null.
            CASE WHEN i.other < 0 OR i.other = i.sender OR i.drop_if_blocked IS NULL THEN NULL
                ELSE CASE coalesce(received.messages_from,
                        nullif(current_setting('imd.messages_from', true), '')::smallint, 1)
                    WHEN 1 THEN NULL
                    WHEN 2 THEN CASE WHEN has_contact(i.other, i.sender) THEN NULL ELSE 2 END
                    ELSE 3
                END
            END AS accepts_from,
            -- Why a group does not take it; null between users.
            CASE WHEN i.other > 0 OR i.drop_if_blocked IS NULL THEN NULL::integer
                -- groups:
                WHEN m.user_no IS NULL THEN 1
                WHEN m.muted_until > now() THEN 2
                WHEN g.muted AND m.role = 1 THEN 3
                WHEN i.flags & 2 <> 0 AND m.role = 1 THEN 4
                -- :groups
            END AS group_refusal
            -- groups:
            , m.muted_until
            -- :groups
        FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[],
                    $7::uuid[], $8::bytea[], $9::text[], $10::bytea[], $11::text[], $12::smallint[]
                    -- quotes:
                    , $14::bigint[], $15::bigint[], $16::bigint[], $17::timestamptz[], $18::text[], $19::boolean[]
                    -- :quotes
            )
            WITH ORDINALITY
            i (sender, session_id, sender_behind, other, other_behind, drop_if_blocked,
               client_message_id, content_hash, content_type, body, mentions, flags,
               -- quotes:
               own_target, other_target, forwarded_from, forwarded_at, attachments, unkept,
               -- :quotes
               item)
        LEFT JOIN sessions s ON s.user_no = i.sender AND s.session_id = i.session_id
        LEFT JOIN timelines sent ON sent.owner = i.sender
        LEFT JOIN timelines received ON received.owner = i.other
        LEFT JOIN entries e ON e.owner = i.sender AND e.client_message_id = i.client_message_id
        -- groups:
        LEFT JOIN groups g ON g.group_no = -i.other
        LEFT JOIN group_members m ON m.group_no = -i.other AND m.user_no = i.sender AND m.left_seq IS NULL
        -- :groups
    ) looked_up
), unfilled AS MATERIALIZED (
    -- The places of what is not appended as it came.
    SELECT item, sender AS owner FROM item WHERE refused
    UNION ALL
    SELECT item, other FROM item WHERE (refused OR blocked) AND other <> sender
), placed AS (
    SELECT i.*, i.sender_seq - before.sent AS own_seq,
        i.sender_message_no - before.sent AS own_message_no,
        -- None for a note to oneself, or where the recipient gets no copy.
        CASE WHEN NOT i.blocked THEN i.other_seq - before.received END AS copy_seq,
        i.other_message_no - before.received AS copy_message_no
    FROM item i
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE u.owner = i.sender) AS sent,
            count(*) FILTER (WHERE u.owner = i.other) AS received
        FROM unfilled u WHERE u.item < i.item
    ) before
    WHERE NOT i.refused
-- groups:
), moved AS (
    -- What a member writes it has: the fan-out goes on behind it.
    UPDATE group_members m SET fanned_to = p.copy_seq
    FROM (SELECT other, sender, max(copy_seq) AS copy_seq FROM placed WHERE other < 0
          GROUP BY other, sender) p
    WHERE m.group_no = -p.other AND m.user_no = p.sender
), lagging AS (
    -- Until the fan-out is done; it takes the mark away behind the lock that this transaction holds.
    INSERT INTO fan_outs (group_no) SELECT DISTINCT -p.other FROM placed p WHERE p.other < 0
    ON CONFLICT DO NOTHING
-- :groups
), filled AS (
    INSERT INTO entries (owner, seq, conversation, sender, home_seq, message_no, appended_at, kind,
        client_message_id, content_hash, copies, content_type, body, mentions, flags, generation
        -- quotes:
        , target_seq, forwarded_from, forwarded_at, attachments, tombstone
        -- :quotes
        )
    SELECT c.owner, c.seq, c.conversation, p.sender,
        CASE WHEN p.other < 0 THEN p.copy_seq ELSE p.own_seq END, c.message_no, c.appended_at, 1,
        c.client_message_id, c.content_hash, c.copies,
        CASE WHEN c.is_home THEN p.content_type END, CASE WHEN c.is_home THEN p.body ELSE '' END,
        CASE WHEN c.is_home THEN p.mentions::bigint[] END, CASE WHEN c.is_home THEN p.flags END,
        $13::smallint
        -- quotes:
        , c.target_seq, CASE WHEN c.is_home THEN p.forwarded_from END,
        CASE WHEN c.is_home THEN p.forwarded_at END, CASE WHEN c.is_home THEN p.attachments END,
        c.tombstone
        -- :quotes
    FROM placed p
    CROSS JOIN LATERAL (VALUES
        (p.sender, p.own_seq, p.other, p.own_message_no, p.sender_at, p.client_message_id,
         p.content_hash, CASE WHEN p.copy_seq IS NOT NULL THEN ARRAY[p.other, p.copy_seq] END,
         p.other > 0
         -- quotes:
         AND NOT p.unkept, p.own_target, CASE WHEN p.unkept THEN 2::smallint END
         -- :quotes
        ),
        (p.other, p.copy_seq, CASE WHEN p.other < 0 THEN p.other ELSE p.sender END,
         p.copy_message_no, p.other_at, NULL, NULL, NULL, true
         -- quotes:
         , p.other_target, NULL
         -- :quotes
        )
    ) c (owner, seq, conversation, message_no, appended_at, client_message_id, content_hash, copies,
         is_home
         -- quotes:
         , target_seq, tombstone
         -- :quotes
        )
    WHERE c.seq IS NOT NULL
-- quotes:
), used AS (
    -- By the places where the message itself stands, as above.
    INSERT INTO attachment_uses (attachment_id, owner, seq)
    SELECT (a.file ->> 'attachment_id')::uuid, c.owner, c.seq
    FROM placed p
    CROSS JOIN LATERAL (VALUES (p.sender, p.own_seq, p.other > 0 AND NOT p.unkept), (p.other, p.copy_seq, true)) c (owner, seq, is_home)
    CROSS JOIN LATERAL jsonb_array_elements(p.attachments::jsonb) a (file)
    WHERE p.attachments IS NOT NULL AND c.is_home AND c.seq IS NOT NULL
-- :quotes
-- webhooks:
), event AS MATERIALIZED (
    -- Of the home alone, so that a message is one event.
    SELECT (abs(h.owner) % 16)::smallint AS partition, h.at, h.owner, h.seq, h.part
    FROM placed p
    CROSS JOIN LATERAL (
        SELECT p.other AS owner, p.copy_seq AS seq, p.other_at AS at, 0 AS part WHERE p.other < 0
        UNION ALL
        SELECT p.sender, p.own_seq, p.sender_at, 0 WHERE p.other > 0
            -- quotes:
            AND NOT (p.unkept AND p.copy_seq IS NOT NULL)
        UNION ALL
        -- By the recipient's copy, since the home says nothing.
        SELECT p.other, p.copy_seq, p.other_at, 1 WHERE p.other > 0 AND p.unkept AND p.copy_seq IS NOT NULL
            -- :quotes
    ) h
    WHERE EXISTS (SELECT FROM webhook_kinds k WHERE k.kind = 1)
), outboxed AS (
    INSERT INTO outbox (partition, at, owner, seq, part, kind, generation)
    SELECT e.partition, e.at, e.owner, e.seq, e.part, 1, $13::smallint FROM event e
), queued AS (
    INSERT INTO webhook_queue (webhook_no, partition, at, owner, seq, part)
    SELECT k.webhook_no, e.partition, e.at, e.owner, e.seq, e.part
    FROM event e CROSS JOIN webhook_kinds k WHERE k.kind = 1
-- :webhooks
)
SELECT item, refused, no_session, ended_at, end_reason, ended_by_type, ended_by_device_name, end_note,
    sender_state, other_state, stamp(epoch) AS epoch, seq, conversation, earlier_hash, appended_at, copies,
    generation, blocked, recipient_blocked, accepts_from, group_refusal, quota_used
    -- groups:
    , muted_until
    -- :groups
    , give_back_places(CASE WHEN refused THEN sender END, nullif(other, sender))
FROM item
WHERE (refused OR blocked)
-- no-webhooks:
    AND without_webhooks(EXISTS (SELECT FROM webhook_kinds WHERE kind = 1))
-- :no-webhooks
