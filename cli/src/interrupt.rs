//! Being told to stop: by Ctrl-C, or by whoever started the process.

use crate::error::Error;

/// Does `work`; when the process is told to stop first, `work` is dropped, which cleans up after it.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let interrupted = Interrupts::listen();
    tokio::select! {
        done = work => done,
        () = interrupted.next() => Err(Error::Interrupted),
    }
}

/// The signals that ask a process to end: SIGINT, SIGTERM and SIGHUP. From [`Interrupts::listen`] on
/// none of them ends it by itself.
pub(crate) struct Interrupts(unix::Signals);

impl Interrupts {
    /// Begins to listen.
    pub(crate) fn listen() -> Self {
        Self(unix::Signals::listen().expect("the runtime takes signals"))
    }

    /// Waits for the first.
    pub(crate) async fn next(mut self) {
        self.0.next().await;
    }
}

#[cfg(unix)]
mod unix {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) struct Signals([Signal; 3]);

    impl Signals {
        pub(super) fn listen() -> io::Result<Self> {
            Ok(Self([
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ]))
        }

        pub(super) async fn next(&mut self) {
            let [interrupt, terminate, hangup] = &mut self.0;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        }
    }
}

/// Elsewhere there is Ctrl-C alone.
#[cfg(not(unix))]
mod unix {
    use std::io;

    pub(super) struct Signals;

    impl Signals {
        pub(super) fn listen() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
