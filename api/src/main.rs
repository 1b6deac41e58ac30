//! The imd server.

mod dev_cert;
mod greeting;

use std::io::{self, Write};
use std::num::NonZero;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use imd::{
    app::{App, Listeners},
    config::{Flags, Settings},
    data_folder::DataFolder,
    embedded_postgres::EmbeddedPostgres,
    log, rest,
};
use secrecy::ExposeSecret;
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
            let _ = writeln!(io::stderr(), "error: {error:#}");
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
        None => {}
    }
    let settings = load(&arguments.flags)?;
    log::start(&settings.log)?;
    raise_file_limit();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.worker_threads_on(cores))
        .enable_all()
        .build()?
        .block_on(run(&arguments.flags, settings))
}

fn load(flags: &Flags) -> anyhow::Result<Settings> {
    Ok(Settings::load(flags, std::env::vars_os())?)
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
    let url = match (&postgres, &settings.database.url) {
        (Some(postgres), _) => postgres.url().to_owned(),
        (None, url) => url.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default().to_owned(),
    };
    let app = tokio::select! {
        app = App::start_on(listeners, &settings, &url, admin_key) => Some(app),
        () = signals.stop() => None,
    };
    let served = match app {
        Some(Ok(app)) => {
            serve(app, flags, &folder, settings.page, postgres.as_mut(), signals).await
        }
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
    let started = EmbeddedPostgres::start(folder, settings.pg_bin.as_deref()).await;
    Ok(Some(started.context("start the embedded PostgreSQL")?))
}

/// Serves until asked to stop or until the embedded database is gone for good.
async fn serve(
    app: App,
    flags: &Flags,
    folder: &DataFolder,
    page: bool,
    postgres: Option<&mut EmbeddedPostgres>,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let page = if page { Some(app.page_url().await?) } else { None };
    let greeting = greeting::greeting(&app, folder, page.as_deref(), postgres.is_some());
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
        () = signals.stop_or(|| reload(&app, flags)) => Ok(()),
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

/// Reads the settings and the files they name again.
fn reload(app: &App, flags: &Flags) {
    match load(flags).and_then(|settings| app.reload(&settings)) {
        Ok(()) => tracing::info!("settings reloaded"),
        Err(error) => tracing::error!("settings not reloaded: {error:#}"),
    }
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
