//! The programs of the system that tests run, and where they come from.

use std::{env, path::PathBuf};

/// Each program, and the Debian package that has it.
const PACKAGES: [(&str, &str); 15] = [
    ("bash", "bash"),
    ("caddy", "caddy"),
    ("curl", "curl"),
    ("go", "golang-go"),
    ("haproxy", "haproxy"),
    ("nats-server", "nats-server"),
    ("nginx", "nginx-light"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("php", "php-cli"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("python3", "python3-pip"),
    ("script", "bsdutils"),
    ("systemd-analyze", "systemd"),
];

/// The path of a program; panics with the package to install when it is missing.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian puts servers where only root's PATH leads.
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        let package = PACKAGES.iter().find(|(program, _)| *program == name);
        let (_, package) =
            package.unwrap_or_else(|| panic!("{name} is not in the list of programs"));
        panic!("this test needs {name}; on Debian: apt-get install {package}")
    })
}
