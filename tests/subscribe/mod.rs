//! Following one's timeline.

mod concurrent;
mod control;
mod end;
mod order;
mod slow;
