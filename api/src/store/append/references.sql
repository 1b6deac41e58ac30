-- Brings members' timelines up to their group's: appends references to the entries of the group's
-- timeline that they do not have yet, in its order (I13). A pair is a group's timeline and a member.
-- `group_taken` and `member_taken` are places at the ends of the two that the batch of this transaction
-- has taken already and still fills; `upto` may end it sooner. Where it ends before the place at which the
-- member joined, it is for the messages that whoever joins is shown: those that still say something.
--
-- The timelines of all members are locked. Who changes `fanned_to` holds the lock of the member's
-- timeline, so what is read here holds until the commit, and each reference is made once.
WITH pair AS MATERIALIZED (
    SELECT p.timeline, p.member, m.fanned_to, m.joined_seq,
        least(g.last_seq - p.group_taken, p.upto) AS upto, stamp(t.epoch) AS epoch,
        t.last_seq - p.member_taken AS last_seq,
        t.last_message_no - p.member_taken AS last_message_no,
        greatest(t.last_at, now()) AS at
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
        p (timeline, member, group_taken, member_taken, upto)
    JOIN timelines g ON g.owner = p.timeline
    JOIN timelines t ON t.owner = p.member AND t.state = 1
    JOIN group_members m ON m.group_no = -p.timeline AND m.user_no = p.member AND m.left_seq IS NULL
), due AS MATERIALIZED (
    -- One row for each reference. Those of one pair are dense, as the entries that they refer to, but
    -- for those that who joins is shown, which are messages alone.
    SELECT p.timeline, p.member, p.epoch, p.at, p.fanned_to, p.last_seq + row_number() OVER entries AS seq,
        p.last_message_no + count(*) FILTER (WHERE e.kind = 1) OVER entries AS message_no,
        e.seq AS group_seq, e.kind, e.sender, e.tombstone, e.target_seq AS target_home, e.generation,
        -- A recall, an edit and a change of reactions name the message and not themselves.
        CASE WHEN e.kind IN (5, 14, 15) THEN e.home_seq ELSE e.seq END AS home_seq,
        CASE WHEN e.kind = 1 AND (p.member = ANY(e.mentions) OR e.flags & 2 <> 0)
            THEN 1::smallint END AS flags
    FROM pair p
    JOIN entries e ON e.owner = p.timeline AND e.seq > p.fanned_to AND e.seq <= p.upto
        AND (p.upto >= p.joined_seq OR e.kind = 1 AND e.tombstone IS NULL)
    WINDOW entries AS (PARTITION BY p.member ORDER BY p.timeline, e.seq ROWS UNBOUNDED PRECEDING)
), placed AS MATERIALIZED (
    -- Where the message stands that an event is about, or that a message quotes: among these references, or by
    -- its own. And whether an
    -- edited one, if it is not gone since, mentions the member now: 1 or 0.
    SELECT d.*, CASE WHEN d.kind = 14 THEN (
        SELECT CASE WHEN d.member = ANY(h.mentions) OR h.flags & 2 <> 0 THEN 1 ELSE 0 END::smallint
        FROM entries h WHERE h.owner = d.timeline AND h.seq = d.target_home AND h.tombstone IS NULL
    ) END AS mentions_now, CASE
        WHEN d.target_home IS NULL THEN NULL
        -- Those that who joins is shown are not dense.
        WHEN d.kind = 1 AND d.target_home > d.fanned_to THEN (
            SELECT o.seq FROM due o
            WHERE o.member = d.member AND o.timeline = d.timeline AND o.group_seq = d.target_home
        )
        WHEN d.target_home > d.fanned_to THEN d.seq - (d.group_seq - d.target_home)
        -- A quoted message may stand far back: its reference is found by halving what there is of the
        -- timeline, in which the places in the group's rise. Each step reads one row of an index.
        WHEN d.kind = 1 THEN (
            WITH RECURSIVE search (low, high, found, home_seq) AS (
                SELECT 0::bigint, d.seq, NULL::bigint, NULL::bigint
                UNION ALL
                SELECT CASE WHEN r.home_seq > d.target_home THEN s.low ELSE middle END,
                    CASE WHEN r.home_seq > d.target_home THEN r.seq ELSE s.high END,
                    CASE WHEN r.home_seq <= d.target_home THEN r.seq ELSE s.found END,
                    CASE WHEN r.home_seq <= d.target_home THEN r.home_seq ELSE s.home_seq END
                FROM search s
                CROSS JOIN LATERAL (SELECT (s.low + s.high) / 2 AS middle) half
                LEFT JOIN LATERAL (
                    SELECT r.seq, r.home_seq FROM entries r
                    WHERE r.owner = d.member AND r.conversation = d.timeline AND r.kind = 1
                        AND r.tombstone IS NULL AND r.seq > s.low AND r.seq <= half.middle
                    ORDER BY r.seq DESC LIMIT 1
                ) r ON true
                WHERE s.high - s.low > 1
            )
            SELECT found FROM search WHERE home_seq = d.target_home LIMIT 1
        )
        -- One that the member has deleted does not stand there any more.
        ELSE coalesce(
            (SELECT r.seq FROM entries r
             WHERE r.owner = d.member AND r.conversation = d.timeline AND r.kind = 1
                 AND r.tombstone IS NULL AND r.home_seq = d.target_home
             ORDER BY r.seq DESC LIMIT 1),
            (SELECT r.seq FROM entries r
             WHERE r.owner = d.member AND r.conversation = d.timeline AND r.kind = 1
                 AND r.tombstone <> 2 AND r.home_seq = d.target_home
             ORDER BY r.seq DESC LIMIT 1))
    END AS target_seq
    FROM due d
), changed AS (
    -- So that one that was recalled counts as unread no longer, and an edited one as a mention only if it is
    -- one still. A row that both would change is changed by the recall: the home of it says nothing more.
    UPDATE entries r SET tombstone = CASE WHEN p.kind = 5 THEN 1::smallint END,
        flags = CASE WHEN p.kind = 5 THEN r.flags ELSE nullif(p.mentions_now, 0::smallint) END
    FROM placed p
    WHERE (p.kind = 5 OR p.mentions_now IS NOT NULL) AND p.target_home <= p.fanned_to
        AND r.owner = p.member AND r.seq = p.target_seq AND r.tombstone IS NULL
), erased AS (
    -- For the same reason: of who was deleted and had all erased. What the member has read counts anyway.
    UPDATE entries r SET tombstone = 3
    FROM placed p
    LEFT JOIN read_marks m ON m.owner = p.member AND m.conversation = p.timeline
    WHERE p.kind = 7 AND r.owner = p.member AND r.conversation = p.timeline AND r.kind = 1
        AND r.tombstone IS NULL AND r.sender = p.sender
        AND r.seq > coalesce(greatest(m.read_seq, m.answered_seq), 0)
), answered AS (
    -- What stands before an own message counts as read, also when that message is gone.
    INSERT INTO read_marks (owner, conversation, answered_seq)
    SELECT p.member, p.timeline, max(p.target_seq) FROM placed p
    WHERE p.kind = 5 AND p.sender = p.member AND p.target_seq IS NOT NULL
    GROUP BY p.member, p.timeline
    ON CONFLICT (owner, conversation) DO UPDATE
    SET answered_seq = greatest(read_marks.answered_seq, excluded.answered_seq)
), counted AS (
    UPDATE timelines t
    SET last_seq = t.last_seq + d.places, last_message_no = t.last_message_no + d.messages,
        last_at = d.at
    FROM (SELECT member, max(at) AS at, count(*) AS places, count(*) FILTER (WHERE kind = 1) AS messages
          FROM due GROUP BY member) d
    WHERE t.owner = d.member
), moved AS (
    UPDATE group_members m SET fanned_to = p.upto
    FROM pair p
    WHERE m.group_no = -p.timeline AND m.user_no = p.member AND p.upto > p.fanned_to
), filled AS (
    INSERT INTO entries (owner, seq, conversation, sender, home_seq, message_no, appended_at, kind,
        tombstone, target_seq, flags, generation, body)
    SELECT member, seq, timeline, sender, home_seq, message_no, at, kind, tombstone, target_seq, flags,
        generation, ''
    FROM placed
)
SELECT member, epoch, seq, group_seq, at, target_seq,
    coalesce(flags, nullif(mentions_now, 0::smallint)) AS flags
FROM placed ORDER BY member, seq
