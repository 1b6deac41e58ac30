//! Administration.

mod audit;
mod cursors;
mod epochs;
mod keys;
mod kick;
mod sessions;
mod status;
mod trace;
mod users;
