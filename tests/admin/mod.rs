//! Administration.

mod access_keys;
mod audit;
mod cursors;
mod epochs;
mod groups;
mod keys;
mod kick;
mod sessions;
mod status;
mod terminals;
mod trace;
mod users;
