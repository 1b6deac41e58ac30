//! The client against a server that does what each test tells it, on a real connection: most of what
//! a client has to cope with, no sound server does on demand.

mod scripted;
mod sending;
mod timeline;
