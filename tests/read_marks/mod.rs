//! Read state: marks on which all terminals of a user agree, unread counts, and what peers are told.

mod marks;
mod receipts;
mod unread;
