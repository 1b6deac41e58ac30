-- Hours of the day in which no terminal of a user is told of messages. What comes then is told when they are over.
CREATE TABLE quiet_hours (
    user_no   bigint PRIMARY KEY,
    starts    time   NOT NULL,
    ends      time   NOT NULL, -- before `starts`: on the next day
    time_zone text   NOT NULL  -- of the IANA database, as the server has it
);

-- What clocks show in a time zone; null for one that the server does not know, or does not know any more.
CREATE FUNCTION local_time(time_zone text) RETURNS time LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (now() AT TIME ZONE time_zone)::time;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN NULL;
END $$;

CREATE FUNCTION is_quiet(hours quiet_hours) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT coalesce(CASE WHEN hours.starts <= hours.ends
                     THEN here >= hours.starts AND here < hours.ends
                     ELSE here >= hours.starts OR here < hours.ends END, false)
          FROM local_time(hours.time_zone) AS here $$;

-- The node that has claimed a terminal: what one has claimed that has died is free again.
ALTER TABLE push_tokens ADD COLUMN claimed_by bigint;
