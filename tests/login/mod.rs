//! Logging in: who may, what it ends, and keeping logged in.

mod assertion;
mod credentials;
mod occupied;
mod password;
mod places;
mod refresh;
mod told;
