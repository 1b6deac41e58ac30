-- Attachments of messages that are to be sent later.

-- What is shown of them: JSON, as in entries; null for none.
ALTER TABLE scheduled_messages ADD COLUMN attachments text;

-- Which wait with such a message. As long as one does it is not deleted, and the message may have it, however old it is.
CREATE TABLE scheduled_attachments (
    attachment_id     uuid   NOT NULL,
    owner             bigint NOT NULL,
    client_message_id uuid   NOT NULL,
    PRIMARY KEY (attachment_id, owner, client_message_id)
);
CREATE INDEX scheduled_attachments_message ON scheduled_attachments (owner, client_message_id);
