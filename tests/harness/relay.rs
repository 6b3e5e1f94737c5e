//! `relay SOCKET`: carries bytes between its standard input, a connected socket, and the bus at
//! SOCKET. Started as another user by the harness, it lends a test that user's credentials, which
//! the bus reads from the socket's peer. It must not interpret what it carries.
#![allow(clippy::expect_used)]

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::thread;

fn main() -> ExitCode {
    let Some(socket) = std::env::args_os().nth(1) else {
        eprintln!("usage: relay SOCKET");
        return ExitCode::from(2);
    };
    let carried = UnixStream::connect(&socket).and_then(relay);
    match carried {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay to {}: {error}", socket.display());
            ExitCode::FAILURE
        }
    }
}

fn relay(bus: UnixStream) -> io::Result<()> {
    let test = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (from_test, to_bus) = (test.try_clone()?, bus.try_clone()?);
    let up = thread::spawn(move || carry(from_test, to_bus));
    carry(bus, test);
    up.join().expect("the other direction does not panic");
    Ok(())
}

/// Copies until one side is gone, then tells the other; a broken connection is an ordinary end.
fn carry(mut from: UnixStream, mut to: UnixStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
