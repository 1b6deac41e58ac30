//! Writes that gather what is about to be said.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose every write first lets the tasks run that are ready now. A message wakes many
/// streams, several of one connection, and the runtime runs a task that was woken next: so the
/// connection would write what the first of its streams says before the second has a word.
///
/// Without vectored writes, though the stream may have them: with them h2 writes each frame of 256
/// bytes and more, which is nearly every entry, by itself; without them it gathers all of up to 1 KiB.
pub(super) struct Gathering<S> {
    stream: S,
    waited: bool,
}

impl<S> Gathering<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, waited: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.waited {
            self.waited = true;
            // A task that wakes itself has its turn after all that are ready.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.waited = false;
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_ready_runs_before_a_write() {
        static HAD_A_TURN: AtomicBool = AtomicBool::new(false);
        let (stream, mut peer) = duplex(64);
        let mut stream = Gathering::new(stream);
        for _ in 0..2 {
            HAD_A_TURN.store(false, Ordering::Relaxed);
            tokio::spawn(async { HAD_A_TURN.store(true, Ordering::Relaxed) });
            stream.write_all(b"said").await.expect("room");
            assert!(HAD_A_TURN.load(Ordering::Relaxed));
            let mut said = [0; 4];
            peer.read_exact(&mut said).await.expect("what was written");
            assert_eq!(&said, b"said");
        }
    }
}
