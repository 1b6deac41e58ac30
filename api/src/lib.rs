//! imd, a message backend: one account on every terminal, every message on each of them, history that
//! roams to any new device.
//!
//! The crate is built in layers; each uses only those below it, and a test holds that:
//!
//! | layer | what it does |
//! |---|---|
//! | [`app`], [`serve`], [`cors`], [`config`], [`log`] | puts everything together; one port a listener; settings |
//! | [`grpc`], [`rest`] | decode, one call of the service, encode |
//! | [`service`] | the use cases: who may, what is valid, which limits |
//! | [`delivery`] | gets entries to streams: append lanes, hub, catch-up, hints between nodes |
//! | [`store`] | SQL; a method is one transaction |
//! | [`tasks`] | keeps the node's long-lived tasks running, and says which do not |
//! | [`model`] | ids, entries, sessions, the error type; no I/O |
//!
//! Every layer above the model may count in [`telemetry`], and those that connect to others share
//! [`tls`]. Where tests are to see a bug, [`planted_bugs`] has it, behind a feature that releases lack.
//!
//! A message goes straight down (transport → service → lane → store) and, once committed, straight
//! back up (lane → hub → stream → transport).

pub mod app;
pub mod config;
pub mod cors;
pub mod data_folder;
pub mod delivery;
pub mod embedded_postgres;
pub mod grpc;
pub mod log;
pub mod model;
pub mod planted_bugs;
pub mod rest;
pub mod serve;
pub mod service;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod tls;
