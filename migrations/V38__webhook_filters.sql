-- Webhooks that are told of some users, groups or senders alone. Events are written for them as for the others, and those that
-- do not pass are taken out of the queue when it is their turn: a filter that is changed holds for what waits, too.
ALTER TABLE webhooks ADD COLUMN filter jsonb NOT NULL DEFAULT '{}';
