-- When the session bound its token: Apple says since when a token is none any more, and one that was bound after that is
-- one again.
ALTER TABLE push_tokens ADD COLUMN bound_at timestamptz NOT NULL DEFAULT now();
