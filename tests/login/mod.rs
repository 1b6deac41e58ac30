//! Logging in: who may, what it ends, and keeping logged in.

mod assertion;
mod credentials;
mod exclusive;
mod occupied;
mod password;
mod places;
mod refresh;
mod told;
