-- Logging in by assertions of a product's own backend.

-- What people call a user, by the newest assertion that said so.
ALTER TABLE users ADD COLUMN name text;

-- The assertions that have opened a session, until they would not be taken any more by their age.
CREATE TABLE used_assertions (
    user_no    bigint      NOT NULL,
    digest     bytea       NOT NULL, -- SHA-256 of issuer and jti
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_no, digest)
);
CREATE INDEX used_assertions_expiring ON used_assertions (expires_at);
