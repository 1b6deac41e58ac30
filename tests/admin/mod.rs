//! Administration.

mod audit;
mod keys;
mod kick;
mod sessions;
mod status;
mod users;
