-- Forwarded messages: what another message said, sent on. Null for all others, at the home of a message and between users
-- in the other copy, too.
ALTER TABLE entries
    ADD COLUMN forwarded_from bigint,      -- who sent what it says first
    ADD COLUMN forwarded_at   timestamptz; -- and when
