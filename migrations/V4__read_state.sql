-- Read state, recall and delete-for-me.
--
-- `entries.kind`, beside 1 message and 2 session_changed: 3 read_mark, 4 read_receipt,
-- 5 message_recalled, 6 message_deleted. `conversation` says which conversation the event is about,
-- `sender` and `sender_seq` which message.

ALTER TABLE entries
    ADD COLUMN target_seq bigint; -- events: the place in the owner's timeline that it is about

-- How far conversations have been read. All places are of the owner's timeline; 0 when there is none.
CREATE TABLE read_marks (
    owner         bigint NOT NULL,
    conversation  bigint NOT NULL,           -- as in entries
    read_seq      bigint NOT NULL DEFAULT 0, -- the owner has read up to here
    peer_read_seq bigint NOT NULL DEFAULT 0, -- the peer has, as far as its receipts say
    PRIMARY KEY (owner, conversation)
) WITH (fillfactor = 80);
