-- How far the terminal of each session has got: the last entry that was handed to its connection, or the
-- cursor that it came back with. Written now and then, for many sessions at a time.
ALTER TABLE sessions
    ADD COLUMN cursor_epoch bigint,
    ADD COLUMN cursor_seq   bigint;

-- With room on the page such an update stays there (HOT); no index has these columns.
ALTER TABLE sessions SET (fillfactor = 80);
