-- What users have begun to write, one draft for each conversation.
CREATE TABLE drafts (
    owner        bigint NOT NULL,
    conversation bigint NOT NULL, -- as in entries
    text         text   NOT NULL,
    PRIMARY KEY (owner, conversation)
) WITH (fillfactor = 80);

-- entries.kind, beside those before: 21 draft_changed.
