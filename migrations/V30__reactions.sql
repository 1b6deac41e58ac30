-- Reactions to messages. What is shown of them stands with each message that has some, so that a page of messages
-- without any costs nothing for them.
--
-- `entries.kind`, beside those before: 15 reactions_changed. `target_seq` is the place of the message in the owner's
-- timeline, and what the entry says is read from there, as with 14.

ALTER TABLE entries
    -- Of a message that has some, at its home and between users in the other copy, too: JSON,
    -- [[reaction, how often, whether by the owner], …] in the order in which the kinds came. Of a group's message it
    -- does not say by whom.
    ADD COLUMN reactions text;

-- Who reacts with what. Of a message between users its copies say so, too: there a row serves to find what an account
-- that is deleted has left behind.
CREATE TABLE reactions (
    home     bigint NOT NULL, -- the timeline of the message's home
    home_seq bigint NOT NULL, -- and the place in it
    reaction text   COLLATE "C" NOT NULL,
    user_no  bigint NOT NULL,
    PRIMARY KEY (home, home_seq, reaction, user_no)
);
CREATE INDEX reactions_user ON reactions (user_no, home, home_seq);

-- The messages of which a timeline was told lately that their reactions have changed, so that it is told once of many
-- changes.
CREATE TABLE reactions_told (
    owner   bigint      NOT NULL, -- a user's timeline, or a group's
    seq     bigint      NOT NULL, -- the message's place in it
    due_at  timestamptz NOT NULL, -- when it may be told again
    pending boolean     NOT NULL, -- whether it is to be: something has changed since
    PRIMARY KEY (owner, seq)
) WITH (fillfactor = 50);
CREATE INDEX reactions_told_due ON reactions_told (due_at);
