//! The line to the bus: its socket, read and written by the loop itself.
//!
//! Owns the socket and what has been read of it. zbus makes the connection (it introduces itself, and hears what its
//! name is) and is let go then: a task that reads and a queue behind it would cost each message a round of the event
//! loop. One read takes what is there, and one that got less than it had room for has emptied the socket: it is waited
//! for without a second look. A write is simply tried, and only one that would block is waited for.

mod incoming;
#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    mem::{self, MaybeUninit},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::SocketAddr,
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use callarbiter_wire::{Outgoing, Received};
use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, Shutdown, recvmsg, sendmsg, shutdown,
    },
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::UnixStream,
};
use zbus::{
    Address, Message,
    address::{Transport, transport::UnixSocket},
    connection::{
        Builder,
        socket::{ReadHalf, Socket, Split, WriteHalf},
    },
    export::async_trait::async_trait,
};

use incoming::Incoming;

/// Messages and bytes that are written at once, at most. The kernel keeps larger writes in larger pieces, which cost
/// more than a second write.
const MESSAGES_PER_WRITE: usize = 32;
const BYTES_PER_WRITE: usize = 16 * 1024;

/// Files that can come with one write, at most: the kernel's own limit.
const FILES: usize = 253;

/// A connection to a bus.
#[derive(Clone, Debug)]
pub struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Watched for reading only: each message that the bus takes would wake the daemon for nothing.
    socket: AsyncFd<OwnedFd>,
    /// The same once more, since an epoll instance takes a descriptor only once. It is there before it is needed: then
    /// there may be none to be had any more.
    for_writing: OwnedFd,
    incoming: Mutex<Incoming>,
}

impl Line {
    /// Connects to a bus and says hello.
    pub async fn connect(address: &Address) -> zbus::Result<Line> {
        let failed = |error| zbus::Error::Connection(Arc::new(error), Box::new(address.clone()));
        let place = match address.transport() {
            Transport::Unix(unix) => match unix.path() {
                UnixSocket::File(path) => SocketAddr::from_pathname(path),
                UnixSocket::Abstract(name) => {
                    SocketAddr::from_abstract_name(name.as_encoded_bytes())
                }
                _ => return Err(zbus::Error::Unsupported),
            },
            // Whoever is behind another kind of socket has no user.
            _ => return Err(zbus::Error::Unsupported),
        };
        let place = place.map_err(failed)?;
        let stream = UnixStream::connect_addr(&place.into()).await.map_err(failed)?;
        let line = Line::over(OwnedFd::from(stream.into_std()?))?;
        let connection = Builder::socket(line.clone()).build().await?;
        if address.guid().is_some_and(|guid| *guid != **connection.server_guid()) {
            return Err(zbus::Error::Handshake(
                "the bus is not the one of this address".to_owned(),
            ));
        }
        Ok(line)
    }

    /// Over a socket that does not block.
    fn over(socket: OwnedFd) -> io::Result<Line> {
        let for_writing = socket.try_clone()?;
        let socket = watched(socket, Interest::READABLE)?;
        Ok(Line(Arc::new(Inner { socket, for_writing, incoming: Mutex::default() })))
    }

    /// The next message, as soon as there is one.
    pub async fn next(&self) -> io::Result<Received> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next message, if it is there.
    pub fn next_at_once(&self) -> Option<io::Result<Received>> {
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(message) => Some(message),
            Poll::Pending => None,
        }
    }

    /// Sends messages, in order.
    pub async fn send(&self, mut messages: &[Outgoing]) -> io::Result<()> {
        while let Some(first) = messages.first() {
            // The receiver takes files with the first byte that they came with: a message that has some begins a write.
            let files: Vec<_> = first.files().iter().map(AsFd::as_fd).collect();
            let mut buffers = [IoSlice::new(&[]); MESSAGES_PER_WRITE];
            let (mut count, mut bytes) = (0, 0);
            for (buffer, message) in buffers.iter_mut().zip(messages) {
                let behind = count > 0 && !message.files().is_empty();
                if bytes >= BYTES_PER_WRITE || behind {
                    break;
                }
                *buffer = IoSlice::new(message.as_ref());
                bytes += message.length();
                count += 1;
            }
            let mut left = buffers.get_mut(..count).unwrap_or_default();
            let mut files = files.as_slice();
            while !left.is_empty() {
                let written = self.write(left, mem::take(&mut files)).await?;
                IoSlice::advance_slices(&mut left, written);
            }
            messages = messages.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Nothing more is read or written.
    pub fn close(&self) -> io::Result<()> {
        Ok(shutdown(self.0.socket.get_ref(), Shutdown::Both)?)
    }

    fn incoming(&self) -> MutexGuard<'_, Incoming> {
        self.0.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        let mut incoming = self.incoming();
        loop {
            if let Some(message) = incoming.take()? {
                return Poll::Ready(Ok(message));
            }
            let (bytes, files) = ready!(self.poll_read(cx, incoming.room()))?;
            incoming.came(bytes, files)?;
        }
    }

    /// Reads what there is.
    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<(usize, Vec<OwnedFd>)>> {
        loop {
            let mut ready = ready!(self.0.socket.poll_read_ready(cx))?;
            match receive(self.0.socket.get_ref().as_fd(), room) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
                Ok(Piece { bytes: 0, .. }) => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(Piece { bytes, files, cut_short }) => {
                    // The kernel ends a read behind files; any other goes on until the socket is empty.
                    if bytes < room.len() && files.is_empty() && !cut_short {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok((bytes, files)));
                }
            }
        }
    }

    async fn write(&self, buffers: &[IoSlice<'_>], files: &[BorrowedFd<'_>]) -> io::Result<usize> {
        loop {
            match transmit(self.0.socket.get_ref().as_fd(), buffers, files) {
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                written => return Ok(written?),
            }
        }
        // No longer than for this write: later, each message that the bus takes would wake the daemon for nothing.
        let writing = watched(self.0.for_writing.as_fd(), Interest::WRITABLE)?;
        loop {
            let mut ready = writing.writable().await?;
            match transmit(*writing.get_ref(), buffers, files) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                written => return Ok(written?),
            }
        }
    }
}

fn watched<S: AsRawFd>(socket: S, interest: Interest) -> io::Result<AsyncFd<S>> {
    #[expect(
        deprecated,
        reason = "it is unsound for types that may close what they lend; neither OwnedFd nor BorrowedFd does"
    )]
    AsyncFd::with_interest(socket, interest)
}

/// What one read brought.
struct Piece {
    bytes: usize,
    files: Vec<OwnedFd>,
    /// There were files that could not be taken.
    cut_short: bool,
}

fn receive(socket: BorrowedFd<'_>, room: &mut [u8]) -> Result<Piece, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut room = [io::IoSliceMut::new(room)];
    let received = recvmsg(socket, &mut room, &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    let mut files = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(these) = message {
            files.extend(these);
        }
    }
    let cut_short = received.flags.contains(ReturnFlags::CTRUNC);
    Ok(Piece { bytes: received.bytes, files, cut_short })
}

fn transmit(
    socket: BorrowedFd<'_>,
    buffers: &[IoSlice<'_>],
    files: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(Errno::INVAL);
    }
    sendmsg(socket, buffers, &mut beside, SendFlags::NOSIGNAL)
}

/// For zbus, while it introduces itself.
impl Socket for Line {
    type ReadHalf = Line;
    type WriteHalf = Line;

    fn split(self) -> Split<Line, Line> {
        Split::new(self.clone(), self)
    }
}

#[async_trait]
impl ReadHalf for Line {
    async fn receive_message(
        &mut self,
        _: u64,
        early: &mut Vec<u8>,
        early_files: &mut Vec<OwnedFd>,
    ) -> zbus::Result<Message> {
        self.incoming().begins_with(std::mem::take(early), std::mem::take(early_files));
        self.next().await?.whole()
    }

    async fn recvmsg(&mut self, room: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        poll_fn(|cx| self.poll_read(cx, room)).await
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

#[async_trait]
impl WriteHalf for Line {
    async fn sendmsg(&mut self, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.write(&[IoSlice::new(bytes)], files).await
    }

    async fn close(&mut self) -> io::Result<()> {
        Line::close(self)
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}
