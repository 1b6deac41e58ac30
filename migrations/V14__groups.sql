-- Groups. A group's timeline is the log of its messages and changes: a row of `timelines` and rows of
-- `entries` whose owner is the group's number, negated. There each message has its home. In a member's
-- timeline stand references to those rows: `conversation` is the group's timeline and `home_seq` the
-- place in it, and there is no body.

-- Like those of users, the rows of dissolved groups stay, so that ids are not given out again.
CREATE TABLE groups (
    group_no     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id     text        COLLATE "C" NOT NULL UNIQUE,
    name         text        NOT NULL,
    announcement text        NOT NULL DEFAULT '',
    join_rule    smallint    NOT NULL,               -- 1 invite, 2 request, 3 open
    history      integer     NOT NULL,               -- how many messages who joins gets to see
    muted        boolean     NOT NULL DEFAULT false, -- whether only owner and admins may write
    attributes   text        NOT NULL DEFAULT '{}',  -- JSON of the customer's own
    version      bigint      NOT NULL DEFAULT 1,     -- counts the changes of the columns above
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- No member is behind this place of the group's timeline. Written when a fan-out is done, so that
    -- one that was left undone is found.
    fanned_to    bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 80);

-- Who is or was a member. `fanned_to` changes behind the lock of the member's timeline alone, all else
-- behind that of the group's.
CREATE TABLE group_members (
    group_no    bigint      NOT NULL,
    user_no     bigint      NOT NULL,
    role        smallint    NOT NULL,           -- 1 member, 2 admin, 3 owner
    nickname    text        NOT NULL DEFAULT '',
    muted_until timestamptz,
    joined_at   timestamptz NOT NULL,
    joined_seq  bigint      NOT NULL,           -- the entry of the group's timeline that says so
    left_seq    bigint,                         -- the entry that ended it; null for a member
    fanned_to   bigint      NOT NULL,           -- the member's timeline has references up to here
    read_seq    bigint      NOT NULL DEFAULT 0, -- a place in the group's timeline: read up to here
    PRIMARY KEY (group_no, user_no)
) WITH (fillfactor = 50);
CREATE INDEX group_members_user ON group_members (user_no, group_no) WHERE left_seq IS NULL;

-- Who wants to join, or is invited.
CREATE TABLE group_requests (
    group_no   bigint      NOT NULL,
    user_no    bigint      NOT NULL,
    invited_by bigint,               -- null when the user asks to join
    -- Whether an admin has agreed already, so that only the user is to be asked.
    approved   boolean     NOT NULL DEFAULT false,
    note       text        NOT NULL, -- in the words of whoever asks
    created_at timestamptz NOT NULL,
    PRIMARY KEY (group_no, user_no)
);
CREATE INDEX group_requests_user ON group_requests (user_no, group_no);

-- entries.kind, beside those of V1, V4, V6 and V9: 9 group_changed, 10 member_changed, 11 group_request.
ALTER TABLE entries
    ADD COLUMN mentions bigint[], -- a message's home: users that it mentions
    ADD COLUMN flags    smallint; -- of a message: 1 its owner is mentioned, 2 everybody is
