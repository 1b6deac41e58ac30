-- How many bytes the messages that a user has sent may take, as a limit of a tier or of one user.
ALTER TABLE tiers ADD COLUMN max_bytes bigint CHECK (max_bytes >= 0);
ALTER TABLE users ADD COLUMN override_max_bytes bigint CHECK (override_max_bytes >= 0);

-- Whether the owner may send nothing more, for want of room: here, where a send looks anyway. A job counts, so that a
-- send does not.
ALTER TABLE timelines ADD COLUMN quota_used boolean NOT NULL DEFAULT false;

-- What the job has counted, of users that have such a limit.
CREATE TABLE sent_bytes (
    owner      bigint  PRIMARY KEY,
    counted_to bigint  NOT NULL,  -- seq: what stands behind it is to be counted
    purged_to  bigint  NOT NULL,  -- of the timeline, when it was counted
    bytes      bigint  NOT NULL,  -- at least what there is, and exactly that where it is too much
    quota_used boolean NOT NULL   -- as in `timelines`
);
