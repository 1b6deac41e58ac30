//! Administration.

mod audit;
mod kick;
mod sessions;
mod status;
mod users;
