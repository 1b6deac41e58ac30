//! The binaries `imd` and `imctl`, run as their users run them.

mod backend_example;
mod browser;
mod contract;
mod conversation;
mod deletion;
mod embedded;
mod fetched;
mod imctl;
mod jobs;
mod killed;
mod load;
mod logs;
mod nodes;
mod output;
mod purge;
mod python_client;
mod readme;
mod reload;
mod rest_clients;
mod secrets;
mod traces;
