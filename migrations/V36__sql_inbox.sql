-- Messages that transactions of the customer's ask for, by the functions of the schema `imd` (store/inbox.rs). A request is
-- a row that the asking transaction writes, so it is there if that transaction commits, and only then.
--
-- `request_id` says in which order the requests of one sender are met that are there at the same time; nothing else is
-- ordered by it. A counter row for each sender would have the customer's transactions wait for each other.
CREATE TABLE inbox (
    request_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition         smallint    NOT NULL,           -- of the sender
    state             smallint    NOT NULL DEFAULT 1, -- 1 waiting, 2 sent, 3 refused
    requested_by      text        NOT NULL,           -- the role that the asking client connected as
    requested_at      timestamptz NOT NULL DEFAULT now(),
    sender            text        NOT NULL,           -- 'user:' or 'system:', and an id
    recipient         text        NOT NULL,           -- 'user:' or 'group:', and an id
    client_message_id uuid        NOT NULL,
    content_type      text,                           -- null for text
    body              bytea,                          -- null once the request is done
    silent            boolean     NOT NULL,
    no_push           boolean     NOT NULL,
    bypass            boolean     NOT NULL,
    done_at           timestamptz,                    -- when it was sent or refused
    message_id        text,                           -- of the message that was sent
    code              text,                           -- why it was refused: an error code
    detail            text                            -- the same in words
);
CREATE INDEX inbox_waiting ON inbox (partition, request_id) WHERE state = 1;
CREATE INDEX inbox_done ON inbox (done_at) WHERE state <> 1;
CREATE INDEX inbox_client_message_id ON inbox (client_message_id);

-- A node leases a partition while it meets the requests in it, so that those of one sender are met in their order.
CREATE TABLE inbox_partitions (
    partition    smallint    PRIMARY KEY,
    lease        uuid,
    leased_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO inbox_partitions (partition) SELECT generate_series(0, 15);

-- Writes a request. For the functions of the schema `imd` alone, which run with the rights of imd's role.
CREATE FUNCTION put_into_inbox(
    sender text, recipient text, client_message_id uuid, message_text text, content_type text, data bytea,
    silent boolean, no_push boolean, bypass boolean
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
BEGIN
    IF sender IS NULL OR recipient IS NULL OR client_message_id IS NULL THEN
        RAISE EXCEPTION 'the sender, the recipient and client_message_id are needed'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF (message_text IS NULL) = (data IS NULL) OR (data IS NULL) <> (content_type IS NULL) THEN
        RAISE EXCEPTION 'either text is needed, or content_type and data'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF recipient NOT LIKE 'user:%' AND recipient NOT LIKE 'group:%' THEN
        recipient := 'user:' || recipient;
    END IF;
    INSERT INTO inbox (partition, requested_by, sender, recipient, client_message_id, content_type, body,
        silent, no_push, bypass)
    VALUES ((hashtext(sender) & 15)::smallint, session_user, sender, recipient, client_message_id, content_type,
        coalesce(data, convert_to(message_text, 'UTF8')),
        coalesce(silent, false), coalesce(no_push, false), coalesce(bypass, false))
    RETURNING request_id INTO number;
    -- Heard by the nodes when the transaction commits. Without a node the row waits for one.
    PERFORM pg_notify('imd_inbox', '');
    RETURN number;
END $$;
REVOKE ALL ON FUNCTION put_into_inbox FROM PUBLIC;
