-- Contacts, and from whom users take messages and invitations.

-- Each of the two has a row of its own, in the order of whose timelines both are written.
CREATE TABLE contacts (
    owner      bigint      NOT NULL,
    contact    bigint      NOT NULL,
    state      smallint    NOT NULL, -- 1 the owner has asked, 2 the other has, 3 they are contacts
    remark     text        NOT NULL, -- what the owner calls the other
    note       text        NOT NULL, -- in the words of whoever asked
    changed_at timestamptz NOT NULL, -- of the state
    PRIMARY KEY (owner, contact)
);

-- Who may write to the owner, and who may add it to groups: 1 anyone, 2 contacts, 3 nobody; null for what
-- the deployment says. Here, where a send looks anyway.
ALTER TABLE timelines
    ADD COLUMN messages_from smallint,
    ADD COLUMN invite_from   smallint;

-- entries.kind, beside those of V1, V4, V6, V9 and V14: 12 contact_changed, 13 settings_changed.
