-- A message has a home: the row where what it says stands. `home_seq` is the home's place; its timeline
-- is the sender's, or the conversation's own where that is a group's (`conversation` below zero).
ALTER TABLE entries RENAME COLUMN sender_seq TO home_seq;
