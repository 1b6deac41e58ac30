//! High availability as operators run it: PostgreSQL under Patroni with etcd, imd behind HAProxy, and
//! PgBouncer in between. The configuration is the one that `docs/operations/high-availability.md`
//! recommends, with short times.
//!
//! They need `patroni`, `etcd`, `haproxy` and `pgbouncer`, of the Debian packages `patroni`,
//! `etcd-server`, `haproxy` and `pgbouncer`.

mod balancer;
mod checks;
mod failover;
mod haproxy;
mod lossy;
mod pair;
mod patroni;
mod pooler;
mod pulse;
mod reads;
mod restore;
mod rolling;
mod server;
mod service;
