-- Up to which message webhooks were told that none of a user's terminals has got it (`delivery.undelivered`).
CREATE TABLE undelivered (
    owner    bigint PRIMARY KEY,
    told_seq bigint NOT NULL
);
