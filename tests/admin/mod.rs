//! Administration.

mod access_keys;
mod audit;
mod broadcasts;
mod cursors;
mod epochs;
mod groups;
mod jobs;
mod keys;
mod kick;
mod rest;
pub(crate) mod send;
mod sessions;
pub(crate) mod since;
mod status;
mod terminals;
mod trace;
mod users;
