//! How the bus connection runs on the event loop: its socket is watched for reading only.
//!
//! Owns the waiting for that socket. zbus's own way watches it for writing too, so that every message
//! which the bus takes from it wakes the daemon once more for nothing. Here a write is simply tried, and
//! only one that would block is waited for.
#![allow(unsafe_code)]

use std::{
    future::Future,
    io,
    net::SocketAddr,
    os::{
        fd::{AsFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::ffi::OsStrExt,
    },
    path::Path,
    pin::Pin,
    process::{Command, ExitStatus, Stdio},
    sync::OnceLock,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{Interest as Watch, unix::AsyncFd},
    net::{TcpStream, UnixStream},
    runtime::Handle,
    task::JoinHandle,
    time::Sleep,
};
use zbus::runtime::{Interest, IoSource, traits};

/// The event loop, as the connection sees it.
#[derive(Clone, Debug)]
pub struct EventLoop(Handle);

impl EventLoop {
    /// The one that this is called in.
    pub fn current() -> Self {
        EventLoop(Handle::current())
    }
}

impl traits::Runtime for EventLoop {
    type RegisteredIoSource = Watched;
    type Sleep = Sleep;
    type Task<T>
        = Task<T>
    where
        T: Send + 'static;

    fn register_io_source(&self, source: IoSource) -> io::Result<Watched> {
        let _entered = self.0.enter();
        // SAFETY: what is registered must stay open, under the same number, for as long as it is. An
        // `IoSource` shares the ownership of its descriptor, always names the same one, and is kept by
        // the registration itself.
        let reading = unsafe { AsyncFd::register_with_interest(source, Watch::READABLE) }?;
        Ok(Watched { reading, writing: OnceLock::new(), event_loop: self.0.clone() })
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let _entered = self.0.enter();
        tokio::time::sleep(duration)
    }

    fn spawn<T>(&self, _: &str, future: impl Future<Output = T> + Send + 'static) -> Task<T>
    where
        T: Send + 'static,
    {
        Task(Some(self.0.spawn(future)))
    }

    async fn connect_tcp(&self, address: SocketAddr) -> io::Result<IoSource> {
        let stream = TcpStream::connect(address).await?.into_std()?;
        Ok(OwnedFd::from(stream).into())
    }

    fn connect_unix(&self, path: &Path) -> impl Future<Output = io::Result<IoSource>> + Send {
        let address = match path.as_os_str().as_bytes() {
            [0, name @ ..] => std::os::unix::net::SocketAddr::from_abstract_name(name),
            _ => std::os::unix::net::SocketAddr::from_pathname(path),
        };
        async move {
            let stream = UnixStream::connect_addr(&address?.into()).await?.into_std()?;
            Ok(OwnedFd::from(stream).into())
        }
    }

    /// Programs as transports (`unixexec:`) are not built in.
    fn spawn_process(
        &self,
        _: Command,
        _: Stdio,
        _: Stdio,
        _: Stdio,
    ) -> io::Result<Pin<Box<dyn Future<Output = io::Result<ExitStatus>> + Send + 'static>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A socket of the connection.
#[derive(Debug)]
pub struct Watched {
    reading: AsyncFd<IoSource>,
    /// Only once a write would have blocked.
    writing: OnceLock<AsyncFd<OwnedFd>>,
    event_loop: Handle,
}

impl Watched {
    fn writing(&self) -> io::Result<&AsyncFd<OwnedFd>> {
        if let Some(writing) = self.writing.get() {
            return Ok(writing);
        }
        let _entered = self.event_loop.enter();
        // A duplicate: an epoll instance takes a descriptor only once.
        let descriptor = self.reading.get_ref().as_fd().try_clone_to_owned()?;
        // SAFETY: an `OwnedFd` is open and the same descriptor until it is dropped, which the
        // registration that owns it does after it has stopped watching.
        let writing = unsafe { AsyncFd::register_with_interest(descriptor, Watch::WRITABLE) }?;
        Ok(self.writing.get_or_init(|| writing))
    }
}

impl traits::PollIo for Watched {
    fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let would_block = |result: &io::Result<T>| matches!(result, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        if interest == Interest::Readable {
            loop {
                let mut guard = ready!(self.reading.poll_read_ready(cx))?;
                match operation() {
                    result if would_block(&result) => guard.clear_ready(),
                    result => return Poll::Ready(result),
                }
            }
        }
        match operation() {
            result if would_block(&result) => {}
            result => return Poll::Ready(result),
        }
        let writing = self.writing()?;
        loop {
            let mut guard = ready!(writing.poll_write_ready(cx))?;
            match operation() {
                result if would_block(&result) => guard.clear_ready(),
                result => return Poll::Ready(result),
            }
        }
    }
}

/// A task of the connection: it ends when its handle is dropped.
#[derive(Debug)]
pub struct Task<T>(Option<JoinHandle<T>>);

impl<T: Send + 'static> Future for Task<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(task) => Pin::new(task).poll(cx).map_err(io::Error::other),
            None => Poll::Pending,
        }
    }
}

impl<T: Send + 'static> traits::TaskHandle<T> for Task<T> {
    fn detach(mut self) {
        self.0 = None;
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream as StdStream,
    };

    use zbus::runtime::traits::{PollIo, Runtime};

    use super::*;

    fn pair() -> (StdStream, StdStream) {
        let (ours, theirs) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    fn watched(ours: &StdStream) -> Watched {
        let source = OwnedFd::from(ours.try_clone().unwrap()).into();
        EventLoop::current().register_io_source(source).unwrap()
    }

    #[tokio::test]
    async fn a_write_that_is_taken_at_once_is_not_watched_for() {
        let (mut ours, mut theirs) = pair();
        let watched = watched(&ours);
        let write =
            |cx: &mut Context<'_>| watched.poll_io(cx, Interest::Writable, || (&ours).write(b"x"));
        assert_eq!(std::future::poll_fn(write).await.unwrap(), 1);
        assert_eq!(theirs.read(&mut [0]).unwrap(), 1);
        assert!(watched.writing.get().is_none());
        theirs.write_all(b"y").unwrap();
        let mut byte = [0];
        let read =
            |cx: &mut Context<'_>| watched.poll_io(cx, Interest::Readable, || ours.read(&mut byte));
        assert_eq!(std::future::poll_fn(read).await.unwrap(), 1);
        assert_eq!(byte, *b"y");
    }

    #[tokio::test]
    async fn a_write_that_blocks_is_waited_for() {
        let (ours, mut theirs) = pair();
        let watched = watched(&ours);
        let bytes = vec![7; 4 * 1024 * 1024];
        let sent = bytes.len();
        let reader = std::thread::spawn(move || {
            let mut read = vec![0; sent];
            theirs.read_exact(&mut read).unwrap();
            read
        });
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let write = |cx: &mut Context<'_>| {
                watched.poll_io(cx, Interest::Writable, || (&ours).write(rest))
            };
            let n = std::future::poll_fn(write).await.unwrap();
            rest = rest.get(n..).unwrap();
        }
        assert_eq!(reader.join().unwrap(), bytes);
    }
}
