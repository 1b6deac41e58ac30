-- Homes of messages of groups are purged when no member's timeline refers to them any more.

ALTER TABLE group_members
    -- No entry of the member's timeline refers to a place up to here. Changes behind the lock of the member's
    -- timeline; when a member is admitted, behind that of the group's, too.
    ADD COLUMN purged_to bigint NOT NULL DEFAULT 0;
UPDATE group_members m SET purged_to = coalesce(
    (SELECT min(e.home_seq) - 1 FROM entries e
     WHERE e.owner = m.user_no AND e.conversation = -m.group_no AND e.kind IN (1, 9, 10)),
    coalesce(m.left_seq, m.fanned_to));
