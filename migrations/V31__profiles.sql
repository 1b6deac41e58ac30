-- Profiles: what users show of themselves to others. The name stands in `users.name` already.
--
-- `entries.kind`, beside those before: 16 profile_changed. `sender` is the user whose profile it is.

ALTER TABLE users
    ADD COLUMN avatar_url      text,                       -- null for none
    ADD COLUMN attributes      text,                       -- JSON of the customer's own; null for {}
    ADD COLUMN profile_version bigint NOT NULL DEFAULT 0;  -- counts the changes of the name and of those two

-- The users whose profile has changed, of which those with whom they have conversations are still to be told.
CREATE TABLE profile_walks (
    user_no bigint      PRIMARY KEY,
    told_to bigint,               -- who was told last, in the order of numbers; null while nobody is being told
    due_at  timestamptz NOT NULL, -- when to go on, or when the next walk may begin
    pending boolean     NOT NULL  -- whether the profile has changed since the last walk began
);
CREATE INDEX profile_walks_due ON profile_walks (due_at);
