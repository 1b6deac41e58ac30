//! Tests of imd through its public contract, on a real PostgreSQL.
//!
//! Each behaviour is tested over both transports where both have it, on a database of its own. What a
//! test holds of the design's invariants its name or its comment says: I1 one session per type, I2 told
//! why, I3 no grace, I4 stored before said, I5 gap-free, I6 same story everywhere, I7 idempotent,
//! I8 never silent, I9 the bus is a hint, I10 bounded, I11 stateless, I12 retention is immediate, I15 every event is told.

mod admin;
mod append;
mod attachments;
mod attacks;
mod authorization;
mod blocks;
mod contacts;
mod conversations;
mod database;
mod deletion;
mod dependencies;
mod deploy;
mod documentation;
mod edits;
mod faults;
mod forwards;
mod groups;
mod ha;
mod history;
mod inbox;
mod layout;
mod limits;
mod login;
mod nodes;
mod outgoing_tls;
mod page;
mod pages;
mod pins;
mod policy;
mod presence;
mod process;
mod profiles;
mod push;
mod quotes;
mod reactions;
mod read_marks;
mod retention;
mod schedule;
mod search;
mod send;
mod send_stream;
mod sessions;
mod signals;
mod socket;
mod subscribe;
mod support;
mod tls;
mod tombstones;
mod transfer;
mod webhooks;
mod wire;
