-- Whether nobody is at the terminal that has the stream: its client says so.
ALTER TABLE login_points ADD COLUMN idle boolean NOT NULL DEFAULT false;

-- When the session lost a stream last.
ALTER TABLE sessions ADD COLUMN left_at timestamptz;

-- Who may see whether the owner is there, numbered as messages_from; whether the types of its terminals are
-- shown; null for what the deployment says. And whether it looks as if it were not there.
ALTER TABLE timelines
    ADD COLUMN presence_to    smallint,
    ADD COLUMN presence_types boolean,
    ADD COLUMN invisible      boolean;
