-- Terminal types that exclude each other: a user is logged in on one type of a group at a time.

ALTER TABLE terminal_types
    ADD COLUMN exclusive_group text COLLATE "C"; -- the same text for all types of a group; null for none
