-- What users set for their conversations. A conversation without a row has nothing set.

-- No message writes to it: `hidden_to` is compared with the place of the conversation's newest message.
CREATE TABLE conversation_settings (
    owner         bigint  NOT NULL,
    conversation  bigint  NOT NULL, -- as in entries
    pinned        boolean NOT NULL,
    archived      boolean NOT NULL,
    marked_unread boolean NOT NULL,
    muted_until   timestamptz,      -- null, or over: not muted
    hidden_to     bigint  NOT NULL, -- hidden while it has no message behind this place; 0 for not hidden
    PRIMARY KEY (owner, conversation)
) WITH (fillfactor = 80);

-- entries.kind, beside those before: 20 conversation_changed.
