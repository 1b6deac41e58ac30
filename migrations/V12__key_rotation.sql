-- Keys that follow each other: one of each purpose is current, and the retired ones stay for as long as
-- what was made with them is good.

ALTER TABLE keys
    DROP CONSTRAINT keys_purpose_key,
    ADD COLUMN retired_at  timestamptz,                -- null for the current one
    ADD COLUMN longest_ttl bigint NOT NULL DEFAULT 0;  -- seconds; of the tokens that any node signs with it
CREATE UNIQUE INDEX keys_current ON keys (purpose) WHERE retired_at IS NULL;
