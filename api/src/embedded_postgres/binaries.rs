//! Finding Postgres's programs on this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::account::Account;
use super::cluster::Cluster;
use super::error::{EmbeddedPostgresError, Result};
use super::fetch::{Source, fetch, public_has};

/// The oldest major version that `imd` runs on.
pub(super) const OLDEST_MAJOR: u32 = 15;

/// The value of `pg_source` with which nothing is fetched.
const NO_SOURCE: &str = "none";

/// Where packages put the programs: parent folder, start of the versioned folder's name, and
/// the way down from there.
const SYSTEM_FOLDERS: [(&str, &str, &str); 10] = [
    ("/usr/lib/postgresql", "", "bin"),         // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                  // PGDG on RHEL, Fedora
    ("/usr/lib", "postgresql", "bin"),          // SUSE
    ("/usr/libexec", "postgresql", ""),         // Alpine
    ("/usr/lib64", "postgresql-", "bin"),       // Gentoo
    ("/usr/local", "pgsql", "bin"),             // built from source
    ("/opt/PostgreSQL", "", "bin"),             // EDB
    ("/opt/homebrew/opt", "postgresql", "bin"), // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql", "bin"),    // Homebrew on Intel
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// Package managers by the program to look for, with the start of the command that installs,
/// the package of the newest version, and the one of a given major (in place of `{}`).
const PACKAGE_MANAGERS: [(&str, &str, &str, &str); 6] = [
    ("apt-get", "apt-get install", "postgresql", "postgresql-{}"),
    ("dnf", "dnf install", "postgresql-server", "postgresql{}-server"),
    ("zypper", "zypper install", "postgresql-server", "postgresql{}-server"),
    ("apk", "apk add", "postgresql", "postgresql{}"),
    ("pacman", "pacman -S", "postgresql", "postgresql-{}"),
    ("brew", "brew install", "postgresql@18", "postgresql@{}"),
];

/// The folder of one installation's programs.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    folder: PathBuf,
    major: u32,
}

impl Binaries {
    /// Finds programs that fit `cluster`: of the major version that made it, or a supported one
    /// if it is yet to be made. `chosen`, if given, is the only folder looked at. Else the first
    /// that fits on PATH, else the newest in the usual system folders.
    ///
    /// `source`, the setting `pg_source`, has them fetched into `cache`, unless it is `none`; without it they are fetched
    /// where the search finds none.
    pub(super) async fn find(
        cluster: &Cluster,
        chosen: Option<&Path>,
        source: Option<&str>,
        cache: &Path,
    ) -> Result<Self> {
        let made_by = cluster.major()?;
        if let Some(major) = made_by
            && major < OLDEST_MAJOR
        {
            let path = cluster.data();
            return Err(EmbeddedPostgresError::TooOld { path, major });
        }
        match (chosen, source) {
            (Some(folder), _) => Self::chosen(cluster, made_by, folder).await,
            (None, Some(setting)) if setting != NO_SOURCE => {
                let missing = "PostgreSQL is to come from pg_source".to_owned();
                Self::fetched(cluster, made_by, Source::named(setting), setting, missing, cache)
                    .await
            }
            (None, setting) => match Self::search(cluster, made_by).await {
                Err(
                    missing @ (EmbeddedPostgresError::NotInstalled { .. }
                    | EmbeddedPostgresError::MajorNotInstalled { .. }),
                ) if setting.is_none() && made_by.is_none_or(public_has) => {
                    let missing = match missing {
                        EmbeddedPostgresError::MajorNotInstalled { major, .. } => {
                            format!("PostgreSQL {major}, which made the database, is not installed")
                        }
                        _ => format!("no PostgreSQL {OLDEST_MAJOR} or newer is installed"),
                    };
                    let public = Source::public();
                    Self::fetched(cluster, made_by, public, "GitHub", missing, cache).await
                }
                found => found,
            },
        }
    }

    /// Those of a source, fetched unless they are there from the last time.
    async fn fetched(
        cluster: &Cluster,
        made_by: Option<u32>,
        source: std::result::Result<Source, String>,
        from: &str,
        missing: String,
        cache: &Path,
    ) -> Result<Self> {
        let fetched = match &source {
            Ok(source) => fetch(source, cache).await,
            Err(reason) => Err(reason.clone()),
        };
        match fetched {
            Ok(folder) => Self::chosen(cluster, made_by, &folder).await,
            Err(reason) => Err(EmbeddedPostgresError::NotFetched {
                missing,
                from: from.to_owned(),
                reason,
                install: install_command(made_by),
            }),
        }
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    async fn chosen(cluster: &Cluster, made_by: Option<u32>, folder: &Path) -> Result<Self> {
        let found = Self::probe(cluster.account(), folder).await.map_err(|reason| {
            EmbeddedPostgresError::NoPrograms { folder: folder.to_owned(), reason }
        })?;
        match made_by {
            Some(major) if major != found.major => Err(EmbeddedPostgresError::OtherMajor {
                cluster: cluster.data(),
                major,
                folder: found.folder,
                found: found.major,
            }),
            None if found.major < OLDEST_MAJOR => {
                Err(EmbeddedPostgresError::TooOld { path: found.folder, major: found.major })
            }
            _ => Ok(found),
        }
    }

    async fn search(cluster: &Cluster, made_by: Option<u32>) -> Result<Self> {
        let fits = |major| made_by.map_or(major >= OLDEST_MAJOR, |wanted| major == wanted);

        for folder in path_folders() {
            match Self::probe(cluster.account(), &folder).await {
                Ok(found) if fits(found.major) => return Ok(found),
                _ => {}
            }
        }
        let mut newest: Option<Self> = None;
        for folder in system_folders() {
            match Self::probe(cluster.account(), &folder).await {
                Ok(found)
                    if fits(found.major)
                        && newest.as_ref().is_none_or(|newest| found.major > newest.major) =>
                {
                    newest = Some(found);
                }
                _ => {}
            }
        }
        newest.ok_or_else(|| match made_by {
            None => EmbeddedPostgresError::NotInstalled { install: install_command(None) },
            Some(major) => EmbeddedPostgresError::MajorNotInstalled {
                cluster: cluster.data(),
                major,
                install: install_command(Some(major)),
            },
        })
    }

    /// Asks the programs in `folder` for their version, under the account that will run them.
    async fn probe(account: &Account, folder: &Path) -> std::result::Result<Self, String> {
        for name in ["postgres", "initdb"] {
            let program = folder.join(name);
            if !program.is_file() {
                return Err(format!("there is no file {}", program.display()));
            }
        }
        let program = folder.join("postgres");
        let output = account
            .command(&program)
            .arg("--version")
            .output()
            .await
            .map_err(|error| format!("{} does not run: {error}", program.display()))?;
        let version = String::from_utf8_lossy(&output.stdout);
        let major = parse_major(&version)
            .ok_or_else(|| format!("{} does not tell its version", program.display()))?;
        Ok(Self { folder: folder.to_owned(), major })
    }
}

/// The major version in the answer to `postgres --version`, such as
/// `postgres (Postgres) 15.18 (Debian 15.18-0+deb12u1)` or `postgres (Postgres) 19devel`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split("(PostgreSQL)").nth(1)?.trim_start();
    let end = number.find(|c: char| !c.is_ascii_digit());
    number[..end.unwrap_or(number.len())].parse().ok()
}

fn path_folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).filter(|folder| folder.is_absolute()).collect()
}

fn system_folders() -> impl Iterator<Item = PathBuf> {
    SYSTEM_FOLDERS.into_iter().flat_map(|(parent, start, below)| {
        fs::read_dir(parent)
            .into_iter()
            .flatten()
            .filter_map(std::result::Result::ok)
            .filter(move |entry| entry.file_name().to_string_lossy().starts_with(start))
            .map(move |entry| entry.path().join(below))
    })
}

/// The one command that installs Postgres here, of the given major version or the newest.
fn install_command(major: Option<u32>) -> String {
    let folders = path_folders();
    let (program, install, newest, of_major) = PACKAGE_MANAGERS
        .into_iter()
        .find(|(program, ..)| folders.iter().any(|folder| folder.join(program).is_file()))
        .unwrap_or(PACKAGE_MANAGERS[0]);
    let package =
        major.map_or(newest.to_owned(), |major| of_major.replace("{}", &major.to_string()));
    let sudo = if geteuid().is_root() || program == "brew" { "" } else { "sudo " };
    format!("{sudo}{install} {package}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_betas_and_development_builds() {
        for (version, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 19devel\n", Some(19)),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("postgres (PostgreSQL) 17", Some(17)),
            ("postmaster 7", None),
        ] {
            assert_eq!(parse_major(version), major, "{version}");
        }
    }
}
