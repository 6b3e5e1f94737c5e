//! A bus inside the program, for trying the arbiter out with nothing installed.
//!
//! Owns a busd in a thread of its own and the private directory of its socket, and takes both away again.
//! It has no policy and no activation and loses calls to names that nobody owns: no bus for a system.
//! `busctl --address=…` works with it, except for `monitor NAME` and `--match=sender=NAME` of a well-known
//! name; plain `monitor`, `monitor :busd.1` (the arbiter) and `--match=path=…` do.

use std::{
    env, fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use busd::bus::Bus;
use futures_util::future::{Either, select};
use thiserror::Error;
use tokio::sync::oneshot;
use uuid::Uuid;
use zbus::Address;

/// A bus that runs until this is dropped.
#[derive(Debug)]
pub struct EmbeddedBus {
    address: Address,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    // After the thread: the socket goes when nobody listens any more.
    _directory: PrivateDirectory,
}

/// Why there is no bus.
#[derive(Debug, Error)]
pub enum EmbeddedBusError {
    /// No place for its socket.
    #[error("no private directory could be made in {parent:?}: {source}")]
    Directory {
        /// Where.
        parent: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The bus itself.
    #[error("the bus did not start: {0}")]
    Start(String),
    /// No thread for it.
    #[error("no thread for the bus: {0}")]
    Thread(#[from] io::Error),
}

impl EmbeddedBus {
    /// Starts one; connections are taken as soon as this returns.
    pub async fn start() -> Result<EmbeddedBus, EmbeddedBusError> {
        let directory = PrivateDirectory::make()?;
        let socket = directory.0.join("bus");
        let (tell, started) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        // busd and its connections run on a runtime of their own kind, whose thread they must not share
        // with ours.
        let thread = thread::Builder::new()
            .name("bus".to_owned())
            .spawn(move || zruntime::block_on(serve(socket, tell, stopped)))?;
        let address = match started.await {
            Ok(Ok(address)) => address,
            Ok(Err(message)) => return Err(EmbeddedBusError::Start(message)),
            Err(_) => return Err(EmbeddedBusError::Start("its thread ended".to_owned())),
        };
        let thread = Some(thread);
        Ok(EmbeddedBus { address, stop: Some(stop), thread, _directory: directory })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for EmbeddedBus {
    fn drop(&mut self) {
        // Dropping the sender is what the thread waits for; one that has already ended is as good.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    socket: PathBuf,
    tell: oneshot::Sender<Result<Address, String>>,
    stopped: oneshot::Receiver<()>,
) {
    let address = format!("unix:path={}", socket.display());
    let mut bus = match Bus::for_address(Some(&address)).await {
        Ok(bus) => bus,
        Err(error) => {
            let _ = tell.send(Err(format!("{error:#}")));
            return;
        }
    };
    if tell.send(Ok(bus.address().clone())).is_err() {
        return;
    }
    let running = std::pin::pin!(bus.run());
    if let Either::Left((Err(error), _)) = select(running, stopped).await {
        tracing::error!(error = format!("{error:#}"), "the embedded bus broke down");
    }
}

/// A directory that only this user may enter, and that goes with its value.
#[derive(Debug)]
struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    fn make() -> Result<PrivateDirectory, EmbeddedBusError> {
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
        let parent = runtime.unwrap_or_else(env::temp_dir);
        let path = parent.join(format!("callarbiter-{}", Uuid::new_v4().simple()));
        // Fails if it exists already: nobody can have laid a trap there.
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(PrivateDirectory(path)),
            Err(source) => Err(EmbeddedBusError::Directory { parent, source }),
        }
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory) {
        tracing::warn!(%error, directory = %directory.display(), "the bus's directory stays behind");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use rustix::process::getuid;
    use zbus::{connection::Builder, fdo::ConnectionCredentials};

    use super::*;

    #[tokio::test]
    async fn it_knows_its_users_and_leaves_nothing_behind() {
        let bus = EmbeddedBus::start().await.unwrap();
        let directory = bus._directory.0.clone();
        let mode = fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);

        let connection = Builder::address(bus.address().clone()).build().await.unwrap();
        let me = connection.unique_name().unwrap().as_str();
        let bus_name = Some("org.freedesktop.DBus");
        let answer = connection
            .call_method(
                bus_name,
                "/org/freedesktop/DBus",
                bus_name,
                "GetConnectionCredentials",
                &me,
            )
            .await
            .unwrap();
        let credentials: ConnectionCredentials = answer.body().deserialize().unwrap();
        assert_eq!(credentials.unix_user_id(), Some(getuid().as_raw()));
        assert_eq!(credentials.process_id(), Some(std::process::id()));

        drop((connection, bus));
        assert!(!directory.exists());
    }
}
