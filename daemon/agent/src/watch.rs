//! Folders that are watched: whoever waits is woken when something in them changed, and never else.
//!
//! Owns inotify. What changed, and what follows, those who wait find out.

use std::{io, path::Path};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe::Receiver;

/// The watched folders; inotify is read as a pipe is.
#[derive(Debug)]
pub struct Watch(Receiver);

impl Watch {
    /// Of no folder yet; needs the event loop.
    pub fn new() -> io::Result<Watch> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Watch(Receiver::from_owned_fd_unchecked(fd)?))
    }

    /// One more; adding one again is the same as once.
    pub fn add(&self, folder: &Path) -> io::Result<()> {
        let changes = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.0, folder, changes)?;
        Ok(())
    }

    /// Waits for a change; many at once are one. What each was nobody needs to know.
    pub async fn changed(&self) -> io::Result<()> {
        let mut events = [0; 4096];
        let mut any = false;
        loop {
            match self.0.try_read(&mut events) {
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && any => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.0.readable().await?
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_change_wakes_once() {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::new().unwrap();
        watch.add(folder.path()).unwrap();
        watch.add(folder.path()).unwrap();
        fs::write(folder.path().join("a"), "1").unwrap();
        fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        watch.changed().await.unwrap();
        assert!(timeout(Duration::ZERO, watch.changed()).await.is_err());
        assert!(watch.add(&folder.path().join("none")).is_err());
    }
}
