-- Messages that are to be sent later. A row goes when its message is sent, in a transaction of its own behind the send,
-- which its `client_message_id` keeps from being made twice.
--
-- `entries.kind`, beside those before: 18 scheduled_changed.
CREATE TABLE scheduled_messages (
    owner             bigint      NOT NULL,
    client_message_id uuid        NOT NULL,
    send_at           timestamptz NOT NULL,
    due_at            timestamptz NOT NULL, -- when it is to be tried: as above, or later where that could not be done
    sending           boolean     NOT NULL, -- whether it may be on its way: no change comes in time any more
    conversation_id   text        NOT NULL, -- to whom
    content_type      text,                 -- null for text
    body              bytea       NOT NULL,
    mentions          text[]      NOT NULL,
    mention_all       boolean     NOT NULL,
    reply_to          text        NOT NULL, -- as the client named it; empty for none
    refused           text,                 -- the code of the error for which it was not sent
    refusal           text,                 -- the same in words
    PRIMARY KEY (owner, client_message_id)
);
CREATE INDEX scheduled_messages_due ON scheduled_messages (due_at) WHERE refused IS NULL;
