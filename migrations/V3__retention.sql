-- Tiers: how far back the history of a user may be seen, and the purge of what no longer may.

-- Both limits are optional; where both are set, the stricter holds.
CREATE TABLE tiers (
    name         text        COLLATE "C" PRIMARY KEY,
    max_age      bigint      CHECK (max_age >= 0),      -- seconds
    max_messages bigint      CHECK (max_messages >= 0),
    changed_at   timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tiers (name) VALUES ('unlimited');

-- An override stands in the place of both limits of the tier.
ALTER TABLE users
    ADD COLUMN tier                  text        COLLATE "C" NOT NULL DEFAULT 'unlimited' REFERENCES tiers,
    ADD COLUMN override              boolean     NOT NULL DEFAULT false,
    ADD COLUMN override_max_age      bigint      CHECK (override_max_age >= 0),
    ADD COLUMN override_max_messages bigint      CHECK (override_max_messages >= 0),
    ADD COLUMN limits_changed_at     timestamptz NOT NULL DEFAULT now();
CREATE INDEX users_tier ON users (tier, user_no);

-- Which conversations of a user have lost messages to the purge, so that a listing can tell the
-- beginning of a conversation from the limit of retention.
CREATE TABLE purged_conversations (
    owner        bigint NOT NULL,
    conversation bigint NOT NULL,
    PRIMARY KEY (owner, conversation)
);

-- The limits that hold for a user, and since when at the latest.
CREATE FUNCTION limits_of(
    the_user bigint,
    OUT tier text, OUT override boolean, OUT max_age bigint, OUT max_messages bigint, OUT since timestamptz
)
LANGUAGE sql STABLE AS $$
    SELECT u.tier, u.override,
           CASE WHEN u.override THEN u.override_max_age ELSE t.max_age END,
           CASE WHEN u.override THEN u.override_max_messages ELSE t.max_messages END,
           greatest(u.limits_changed_at, t.changed_at)
    FROM users u JOIN tiers t ON t.name = u.tier
    WHERE u.user_no = the_user
$$;

-- The lowest seq from `low` on whose entry is of `oldest` or later and has a message_no above `beyond`;
-- `high` when none below it has. A limit that is null lets everything through. appended_at and
-- message_no never decrease with seq, so this is a binary search on the key, however long the timeline.
CREATE FUNCTION first_within(
    the_owner bigint, low bigint, high bigint, oldest timestamptz, beyond bigint
) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- Mostly everything is within: then the first probe is the only one.
    middle bigint := low;
BEGIN
    IF oldest IS NULL AND beyond IS NULL THEN
        RETURN low;
    END IF;
    WHILE low < high LOOP
        IF EXISTS (SELECT FROM entries WHERE owner = the_owner AND seq = middle
                   AND (appended_at < oldest OR message_no <= beyond)) THEN
            low := middle + 1;
        ELSE
            high := middle;
        END IF;
        middle := (low + high) / 2;
    END LOOP;
    RETURN low;
END
$$;

-- The lowest seq of a timeline that may be seen under limits; last_seq + 1 when none may.
CREATE FUNCTION floor_under(the_owner bigint, max_age bigint, max_messages bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT first_within(owner, purged_to + 1, last_seq + 1,
                        now() - make_interval(secs => max_age), last_message_no - max_messages)
    FROM timelines WHERE owner = the_owner
$$;

-- The lowest seq of a timeline that a purge has to leave. Below it is what the limits that hold now
-- have hidden since `hidden_before`: the floor as it was then, and nothing when the limits are younger.
CREATE FUNCTION purge_floor_of(the_owner bigint, hidden_before timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    limits   record;
    timeline record;
    then_end bigint;
    beyond   bigint;
BEGIN
    SELECT * INTO limits FROM limits_of(the_owner);
    SELECT purged_to + 1 AS low, last_seq + 1 AS high INTO timeline FROM timelines WHERE owner = the_owner;
    -- What may be seen now could be seen then: mostly that is everything, and one probe tells.
    IF limits.since > hidden_before
       OR floor_under(the_owner, limits.max_age, limits.max_messages) = timeline.low THEN
        RETURN timeline.low;
    END IF;
    -- Where the timeline ended then, and what the limits hid of it.
    then_end := first_within(the_owner, timeline.low, timeline.high,
                             hidden_before + interval '1 microsecond', NULL);
    SELECT message_no - limits.max_messages INTO beyond
    FROM entries WHERE owner = the_owner AND seq = then_end - 1;
    RETURN first_within(the_owner, timeline.low, then_end,
                        hidden_before - make_interval(secs => limits.max_age), beyond);
END
$$;
