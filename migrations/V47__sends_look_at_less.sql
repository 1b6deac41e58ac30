-- What few sends need to look at costs the others nothing: an append calls these functions only where there is
-- something to find. As parts of its statement they would be made ready for each batch, which is most of what a
-- small one costs.

-- Whether the owner has blocked anybody, ever: its blocks are looked at only then. Here, where a send looks anyway.
ALTER TABLE timelines ADD COLUMN has_blocks boolean NOT NULL DEFAULT false;
UPDATE timelines SET has_blocks = true WHERE owner IN (SELECT owner FROM blocks);

-- Whether the first user blocks the second.
CREATE FUNCTION has_blocked(bigint, bigint) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT EXISTS (SELECT FROM blocks b WHERE b.owner = $1 AND b.blocked = $2) $$;

-- Whether the second user is a contact of the first.
CREATE FUNCTION has_contact(bigint, bigint) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT EXISTS (SELECT FROM contacts c WHERE c.owner = $1 AND c.contact = $2 AND c.state = 3) $$;

-- Takes back the newest place of a message in each of the two timelines, whose locks the caller holds; null for none.
CREATE FUNCTION give_back_places(bigint, bigint) RETURNS void LANGUAGE sql
    AS $$
        UPDATE timelines t SET last_seq = t.last_seq - 1, last_message_no = t.last_message_no - 1
        WHERE t.owner IN ($1, $2)
    $$;
