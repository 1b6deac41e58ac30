-- What lists of administrators are filtered by, where no index serves yet. None of these stands in the way of a message or
-- of a login: groups and attachments that wait get an entry once, when they are made, and records of the audit are written
-- with what administrators do.

-- An import makes groups with their own times, so that their numbers do not grow with the time.
CREATE INDEX groups_created ON groups (created_at);

CREATE INDEX attachments_waiting ON attachments (attachment_id) WHERE state = 1;

CREATE INDEX audit_action ON audit (action, audit_no);
CREATE INDEX audit_actor ON audit (actor, audit_no);
