//! TLS to what a node connects to: the database and the bus.

mod bus;
mod database;
mod server;

use imd::{app::App, config::Settings};

use crate::support::{node::ADMIN_KEY, postgres::Database};

/// Why a node does not start on this database.
async fn refused(database_url: &str, change: impl FnOnce(&mut Settings)) -> String {
    let any_port = ([127, 0, 0, 1], 0).into();
    let mut settings = Settings { listen: any_port, ..Settings::default() };
    settings.admin.listen = any_port;
    change(&mut settings);
    let started = App::start(&settings, database_url, ADMIN_KEY.to_owned().into()).await;
    let error = started.err().expect("a node that does not start");
    format!("{error:#}")
}

/// The same on the database of the tests.
async fn refused_with(change: impl FnOnce(&mut Settings)) -> String {
    let database = Database::create().await;
    refused(database.url(), change).await
}
