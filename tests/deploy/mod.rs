//! What `deploy/` holds, judged by the programs that it is for.

mod monitoring;
mod proxies;
mod proxy;
mod systemd;

use std::{fs, net::TcpListener, path::PathBuf};

/// A file of `deploy/`.
fn file(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}
