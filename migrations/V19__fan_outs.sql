-- The groups whose members may not have all of the group's timeline yet: marked by whoever appends to it,
-- until the fan-out is done. So what was left undone is found without looking at every group.
CREATE TABLE fan_outs (
    group_no bigint PRIMARY KEY
);
INSERT INTO fan_outs (group_no)
SELECT g.group_no FROM groups g JOIN timelines t ON t.owner = -g.group_no WHERE g.fanned_to < t.last_seq;

ALTER TABLE groups DROP COLUMN fanned_to;
