-- Until when somebody watches the requests to a webhook: as long, nodes tell of each that they make (NOTIFY imd_webhooks).
ALTER TABLE webhooks ADD COLUMN tailed_until timestamptz NOT NULL DEFAULT '-infinity';
