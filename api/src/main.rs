//! The imd server.

mod dev_cert;
mod greeting;

use std::io::{self, Write};
use std::num::NonZero;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use imd::{
    app::{self, App, Listeners, check},
    config::{Flags, Settings},
    data_folder::DataFolder,
    embedded_postgres::EmbeddedPostgres,
    log, rest,
};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::dev_cert::DevCertArgs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Message backend: one account on every terminal, every message on each, history that roams.
///
/// Without a command it serves. Without settings it runs a private PostgreSQL in ./imd-data.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Subcommand)]
enum Command {
    /// Print the settings that hold, secrets masked
    Config,
    /// Check the settings, and the certificates, keys and database that they name, without a change of any
    CheckConfig,
    /// Apply the migrations that the database lacks, and end
    Migrate {
        /// Print which they are, and leave the database as it is
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the OpenAPI description of the REST interface
    Openapi {
        /// That of the admin listener
        #[arg(long)]
        admin: bool,
    },
    /// Make a certificate to try TLS with, and say how to use it
    DevCert(DevCertArgs),
}

fn main() -> ExitCode {
    match execute(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Not by `Debug`, which adds a backtrace: what stops imd here is for its operator to mend.
        Err(error) => {
            let _ = if log::is_json() {
                writeln!(
                    io::stderr(),
                    "{}",
                    greeting::json_line("ERROR", &json!({ "message": format!("{error:#}") }))
                )
            } else {
                writeln!(io::stderr(), "error: {error:#}")
            };
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Some(Command::DevCert(args)) => return print(&dev_cert::make(args)?),
        Some(Command::Openapi { admin: true }) => return print(&rest::admin_openapi_json()),
        Some(Command::Openapi { admin: false }) => return print(&rest::openapi_json()),
        Some(Command::Config) => return print_settings(&load(&arguments.flags)?),
        Some(Command::CheckConfig | Command::Migrate { .. }) | None => {}
    }
    let settings = load(&arguments.flags)?;
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.worker_threads_on(cores))
        .enable_all()
        .build()?;
    let entered = runtime.enter();
    log::start(&settings.log)?;
    drop(entered);
    raise_file_limit();
    let done = match arguments.command {
        Some(Command::CheckConfig) => runtime.block_on(check_config(&settings)),
        Some(Command::Migrate { dry_run }) => runtime.block_on(migrate(&settings, dry_run)),
        _ => runtime.block_on(run(&arguments.flags, settings)),
    };
    log::stop();
    done
}

fn load(flags: &Flags) -> anyhow::Result<Settings> {
    Ok(Settings::load(flags, std::env::vars_os())?)
}

async fn check_config(settings: &Settings) -> anyhow::Result<()> {
    let mut wrong = 0;
    for (name, found) in check(settings).await {
        let (result, said) = match found {
            Ok(said) => ("ok", said),
            Err(error) => {
                wrong += 1;
                ("failed", format!("{error:#}"))
            }
        };
        print(&format!("{result:<7} {name:<14} {said}"))?;
    }
    anyhow::ensure!(wrong == 0, "a node cannot start like this");
    Ok(())
}

async fn migrate(settings: &Settings, dry_run: bool) -> anyhow::Result<()> {
    // The folder is another imd's that may run, and not needed for a database elsewhere.
    let postgres = match settings.database.url {
        Some(_) => None,
        None => start_postgres(settings, &DataFolder::open(&settings.data_dir)?).await?,
    };
    let migrated =
        app::migrate(settings, &database_url(settings, postgres.as_ref()), dry_run).await;
    if let Some(postgres) = postgres {
        postgres.stop().await.context("stop the embedded PostgreSQL")?;
    }
    match &migrated?[..] {
        [] => print("the database has all migrations"),
        migrations => print(&migrations.join("\n")),
    }
}

/// Where the database is: that of the settings, or the embedded one.
fn database_url(settings: &Settings, postgres: Option<&EmbeddedPostgres>) -> String {
    match (postgres, &settings.database.url) {
        (Some(postgres), _) => postgres.url().to_owned(),
        (None, url) => url.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default().to_owned(),
    }
}

/// What the operating system may ask of a running imd.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits until imd is asked to stop. What it should `reload` before that it is to do.
    async fn stop_or(&mut self, mut reload: impl FnMut()) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => reload(),
            }
        }
    }

    async fn stop(&mut self) {
        self.stop_or(|| ()).await;
    }
}

async fn run(flags: &Flags, settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let folder = DataFolder::open(&settings.data_dir)?;
    let admin_key = folder.read_or_create_secret("admin.key")?;
    // Before a database is made, which takes its time.
    let listeners = Listeners::bind(&settings).await?;
    let mut postgres = tokio::select! {
        postgres = start_postgres(&settings, &folder) => postgres?,
        () = signals.stop() => return Ok(()),
    };
    let url = database_url(&settings, postgres.as_ref());
    let app = tokio::select! {
        app = App::start_on(listeners, &settings, &url, admin_key) => Some(app),
        () = signals.stop() => None,
    };
    let served = match app {
        Some(Ok(app)) => serve(app, flags, &folder, settings, postgres.as_mut(), signals).await,
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    if let Some(postgres) = postgres {
        postgres.stop().await.context("stop the embedded PostgreSQL")?;
    }
    served
}

async fn start_postgres(
    settings: &Settings,
    folder: &DataFolder,
) -> anyhow::Result<Option<EmbeddedPostgres>> {
    if settings.database.url.is_some() {
        return Ok(None);
    }
    let started =
        EmbeddedPostgres::start(folder, settings.pg_bin.as_deref(), settings.pg_source.as_deref())
            .await;
    Ok(Some(started.context("start the embedded PostgreSQL")?))
}

/// Serves until asked to stop or until the embedded database is gone for good.
async fn serve(
    app: App,
    flags: &Flags,
    folder: &DataFolder,
    mut settings: Settings,
    postgres: Option<&mut EmbeddedPostgres>,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let greeting = if log::is_json() {
        greeting::json(&app, folder, postgres.is_some())
    } else {
        let page = if settings.page { Some(app.page_url().await?) } else { None };
        greeting::greeting(&app, folder, page.as_deref(), postgres.is_some())
    };
    if let Err(error) = print(&greeting) {
        tracing::warn!("cannot print where imd listens: {error:#}");
    }
    let database_lost = async {
        match postgres {
            Some(postgres) => postgres.exited().await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        () = signals.stop_or(|| reload(&app, flags, &mut settings)) => Ok(()),
        lost = database_lost => lost.context("the embedded PostgreSQL cannot be kept running"),
        task = app.given_up() => {
            Err(anyhow::anyhow!("the task {task} of this node cannot be kept running; see the log"))
        }
    };
    tracing::info!("stopping; once more to stop at once");
    tokio::select! {
        () = app.stop() => {}
        () = signals.stop() => tracing::warn!("stopping at once"),
    }
    ended
}

/// Reads the settings and the files they name again, and says what has become of each that has changed. `running` are
/// those that the node goes by.
fn reload(app: &App, flags: &Flags, running: &mut Settings) {
    let read = match load(flags) {
        Ok(read) => read,
        Err(error) => return tracing::error!("settings not reloaded: {error:#}"),
    };
    if let Err(error) = app.reload(&read).and_then(|()| log::change(&read.log)) {
        return tracing::error!("settings not reloaded: {error:#}");
    }
    let changed = read.changes_from(running);
    let left = running.take_over(&read);
    let listed =
        |keys: Vec<&str>| if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
    tracing::info!(
        applied = listed(changed.difference(&left).map(String::as_str).collect()),
        need_a_restart = listed(left.iter().map(String::as_str).collect()),
        "settings reloaded, with the files of certificates and of issuers' keys; all other settings are unchanged"
    );
}

/// Every connection takes a file descriptor, and the limit that a process starts with is often 1,024: for
/// the sake of programs that use `select`. It may be raised as far as the administrator allows.
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}

fn print_settings(settings: &Settings) -> anyhow::Result<()> {
    let mut text = settings.to_masked_toml();
    if settings.database.url.is_none() {
        let url = EmbeddedPostgres::url_in(&settings.data_dir);
        text = format!("{text}\n# embedded database, while imd runs: {url}\n");
    }
    print(text.trim_end())
}

/// Prints a text and a line end; a reader that has gone is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}
