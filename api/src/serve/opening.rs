//! The first bytes of a connection. Until they are there, no timer of HTTP/1.1 or HTTP/2 runs, because
//! it is not known which of the two it is.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes tell the versions apart.
const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// Stands for more bytes than matter, and a request.
const OVER: usize = usize::MAX;

/// How many bytes of a connection have been read. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Opening(Arc<AtomicUsize>);

impl Opening {
    /// Counts what is read from `stream`, which holds `place` from now on.
    pub(super) fn watch<S, P>(&self, stream: S, place: P) -> Watched<S, P> {
        Watched { stream, read: self.clone(), _place: place }
    }

    /// Notes that there was a request, however short.
    pub(super) fn is_over(&self) {
        self.0.store(OVER, Ordering::Relaxed);
    }

    /// Whether there has been no request yet.
    pub(super) fn lasts(&self) -> bool {
        self.0.load(Ordering::Relaxed) != OVER
    }

    /// Whether it is not known yet what the connection speaks.
    pub(super) fn is_pending(&self) -> bool {
        self.0.load(Ordering::Relaxed) < PREFACE
    }
}

/// A stream whose first bytes are counted, and that holds a place for as long as it is open.
pub(super) struct Watched<S, P> {
    stream: S,
    read: Opening,
    _place: P,
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for Watched<S, P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if self.read.is_pending() {
            self.read.0.fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Watched<S, P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
