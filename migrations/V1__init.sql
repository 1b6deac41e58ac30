-- The tables of imd. Forward only: a later change is a new file.
--
-- Locks: every transaction that appends to a timeline or changes a user's sessions first updates the
-- rows of `timelines` concerned, several in the order of owner; everything else comes after that.
-- The owner leads every key of every table that can be large, so all that concerns one user can live
-- on one shard.

-- Accounts. `user_no` stands for the customer's own id everywhere inside.
CREATE TABLE users (
    user_no       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id       text        COLLATE "C" NOT NULL UNIQUE,
    state         smallint    NOT NULL DEFAULT 1, -- 1 active, 2 disabled
    password_hash text,                           -- argon2id, as a PHC string
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- The terminal types and how many live sessions a user may have of each; the same for all nodes.
CREATE TABLE terminal_types (
    name          text    COLLATE "C" PRIMARY KEY,
    session_limit integer NOT NULL CHECK (session_limit > 0)
);

-- The counter of each timeline: narrow, unindexed but for its key, with room on the page, so that an
-- update stays on its page (HOT).
CREATE TABLE timelines (
    owner           bigint PRIMARY KEY,
    epoch           bigint NOT NULL,
    last_seq        bigint NOT NULL DEFAULT 0,
    last_message_no bigint NOT NULL DEFAULT 0,
    purged_to       bigint NOT NULL DEFAULT 0,
    last_at         timestamptz
) WITH (fillfactor = 50);

-- The timelines. `kind`: 1 message, 2 session_changed.
-- A message is known by (sender, sender_seq): the place of the sender's own copy.
CREATE TABLE entries (
    owner             bigint      NOT NULL,
    seq               bigint      NOT NULL,
    conversation      bigint,     -- messages: the peer's user_no as the owner sees it
    sender            bigint,     -- messages
    sender_seq        bigint,     -- messages
    message_no        bigint,     -- messages: 1, 2, 3 … of the owner's messages alone
    appended_at       timestamptz NOT NULL,
    kind              smallint    NOT NULL,
    client_message_id uuid,       -- the sender's copy of a message
    content_hash      bytea,      -- the sender's copy: tells a retry from a reuse of the id
    copies            bigint[],   -- the sender's copy: owner, seq, owner, seq … of the other copies
    content_type      text,       -- messages: null for text
    body              bytea       NOT NULL,
    PRIMARY KEY (owner, seq)
);
CREATE INDEX entries_conversation ON entries (owner, conversation, seq) WHERE message_no IS NOT NULL;
CREATE UNIQUE INDEX entries_client_message_id ON entries (owner, client_message_id)
    WHERE client_message_id IS NOT NULL;

-- Sessions, live and ended. `session_id` is a UUIDv7, so its order is that of the logins.
CREATE TABLE sessions (
    user_no               bigint      NOT NULL,
    session_id            uuid        NOT NULL,
    terminal_type         text        NOT NULL,
    device_id             text        NOT NULL,
    device_name           text        NOT NULL,
    created_at            timestamptz NOT NULL,
    last_used_at          timestamptz NOT NULL,
    refresh_hash          bytea       NOT NULL, -- SHA-256 of the refresh token
    previous_refresh_hash bytea,                -- of the one before, good until its successor is used
    rotated_at            timestamptz,
    refresh_expires_at    timestamptz NOT NULL,
    ended_at              timestamptz,
    end_reason            smallint,
    ended_by_type         text,
    ended_by_device_name  text,
    end_note              text,
    PRIMARY KEY (user_no, session_id)
);
CREATE INDEX sessions_live ON sessions (user_no) WHERE ended_at IS NULL;
CREATE INDEX sessions_expiring ON sessions (refresh_expires_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_newest ON sessions (session_id);

-- The running nodes. A node_no is one incarnation: each start of imd takes a new one.
CREATE TABLE nodes (
    node_no      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node_id      text        NOT NULL,
    version      text        NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    streams      bigint      NOT NULL DEFAULT 0,
    hints        jsonb       NOT NULL DEFAULT '{}' -- node_no: number of the last hint sent there
);

-- Where the streams are: one row for each open stream, and for each node one with user_no 0, which
-- tells the node whether a crash of the database has emptied the table.
CREATE UNLOGGED TABLE login_points (
    user_no    bigint NOT NULL,
    session_id uuid   NOT NULL,
    node_no    bigint NOT NULL,
    stream_no  bigint NOT NULL,
    PRIMARY KEY (user_no, session_id, node_no, stream_no)
);
CREATE INDEX login_points_node ON login_points (node_no);

-- Keys that all nodes share. Purposes: 'access_token' (Ed25519, PKCS #8), 'opaque_token' (HMAC-SHA-256).
CREATE TABLE keys (
    key_id     text        PRIMARY KEY,
    purpose    text        NOT NULL UNIQUE,
    secret     bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What administrators did.
CREATE TABLE audit (
    audit_no bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    actor    text        NOT NULL,
    action   text        NOT NULL,
    user_no  bigint,
    details  jsonb       NOT NULL
);
CREATE INDEX audit_user ON audit (user_no, audit_no);
