//! Administration.

mod audit;
mod cursors;
mod keys;
mod kick;
mod sessions;
mod status;
mod trace;
mod users;
