-- The index for search: which words the texts of messages have. It is written in the background and never by a send, and
-- what it finds is shown only where the message itself says so at the time.
--
-- A text is indexed where it stands: at the home of a group's message, once for all members, and in both copies of a
-- message between users.

CREATE TABLE search_index (
    owner bigint      NOT NULL, -- a user's timeline, or a group's
    seq   bigint      NOT NULL, -- the message's place in it
    at    timestamptz NOT NULL, -- as appended_at in entries
    -- The words; each behind the owner and the block of seqs that it is in, so that the index finds the newest
    -- messages of a timeline without looking at older ones, and nothing of other timelines.
    words tsvector    NOT NULL,
    PRIMARY KEY (owner, seq)
);
-- Without a list of pending entries, which each look would have to go through.
CREATE INDEX search_index_words ON search_index USING gin (words) WITH (fastupdate = off);

-- How far timelines are indexed. What is behind that is read by a search itself.
CREATE TABLE search_progress (
    owner      bigint PRIMARY KEY,
    indexed_to bigint NOT NULL
) WITH (fillfactor = 50);
