-- Sessions that ended long ago are forgotten: they are found by their end.
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
