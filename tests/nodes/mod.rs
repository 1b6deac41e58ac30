//! Several nodes on one database.

mod clocks;
mod delivery;
mod hints;
mod no_grace;
mod start_and_stop;
mod thousands;
