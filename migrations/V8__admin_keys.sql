-- Administrators have keys of their own; every record says from where and why.

-- Revoked keys stay, so that a name in the audit always means the same.
CREATE TABLE admin_keys (
    name       text        COLLATE "C" PRIMARY KEY,
    role       smallint    NOT NULL,        -- 1 viewer, 2 support, 3 admin
    digest     bytea       NOT NULL UNIQUE, -- SHA-256 of the key, which is random
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text        NOT NULL,
    revoked_at timestamptz
);

ALTER TABLE audit
    ADD COLUMN reason  text NOT NULL DEFAULT '', -- in the administrator's words
    ADD COLUMN address inet;
