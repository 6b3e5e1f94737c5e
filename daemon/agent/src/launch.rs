//! Launching: an app that is not running is started, so that it registers and can place the call.
//!
//! Owns the way: the bus for apps that can be activated there, else their `Exec` line. Where entries lie and
//! what they say is `entry`'s and `exec`'s, how a process is started `start`'s. Whether an app may be
//! started, the arbiter decided.

mod entry;
mod exec;
mod start;

use std::{collections::HashMap, path::PathBuf};

use callarbiter_dbus::{Dict, ErrorKind};
use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{debug, info, warn};
use zbus::{Connection, Message, ObjectPath, Variant, names::WellKnownName};

use self::{entry::EntryError, exec::ExecError, start::StartError};

pub use self::entry::{Entry, find, folders};
use crate::{
    orders::{Inbox, LaunchProvider, Order},
    scene::Told,
};

/// Until it is told nothing any more.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    mut orders: Inbox<LaunchProvider>,
) {
    let launcher = Launcher::new(&session);
    loop {
        tokio::select! {
            biased;
            next = told.recv() => if next.is_none() { return },
            Some(order) = orders.recv() => {
                let launcher = launcher.clone();
                tokio::spawn(async move { launcher.answer(order).await });
            }
        }
    }
}

/// What starts apps.
#[derive(Clone, Debug)]
struct Launcher {
    session: Connection,
    folders: Vec<PathBuf>,
}

/// Why an app was not started; for its user to read.
#[derive(Debug, Error)]
pub enum LaunchError {
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error(
        "{file}: its TryExec {program:?} is no program here; the app is installed only in part"
    )]
    TryExec { file: PathBuf, program: String },
    #[error(
        "{0} has no Exec, and the bus cannot activate the app; its packager must say one or the other"
    )]
    NoExec(PathBuf),
    #[error("{file}: Exec: {source}")]
    Exec { file: PathBuf, source: ExecError },
    #[error("{0} wants a terminal, in which nobody would see it")]
    Terminal(PathBuf),
    #[error("{program} was not started: {source}")]
    Start { program: String, source: StartError },
    #[error("the bus did not activate {name}: {source}")]
    Activation { name: String, source: zbus::Error },
}

impl Launcher {
    /// In this session, with entries from where the environment says.
    fn new(session: &Connection) -> Launcher {
        Launcher { session: session.clone(), folders: entry::folders() }
    }

    async fn answer(&self, order: Order<LaunchProvider>) {
        let LaunchProvider { app_id, handle } = &order.what;
        match self.launch(app_id, handle).await {
            Ok(()) => {
                info!(app_id, "started");
                order.reply.send(Dict::new()).await;
            }
            Err(error) => {
                warn!(app_id, "not started: {error}");
                order.reply.fail(ErrorKind::ActionFailed, error.to_string()).await;
            }
        }
    }

    /// Starts the app; it is told the handle where it says that it opens such.
    async fn launch(&self, app_id: &str, handle: &str) -> Result<(), LaunchError> {
        let entry = entry::find(&self.folders, app_id)?;
        if let Some(program) = entry.try_exec.as_ref().filter(|name| !start::is_program(name)) {
            let (file, program) = (entry.file.clone(), program.clone());
            return Err(LaunchError::TryExec { file, program });
        }
        let uri = Some(handle).filter(|handle| takes(&entry, handle));
        if entry.bus_activatable {
            match self.activate(app_id, uri).await {
                Ok(()) => return Ok(()),
                // Its service file is missing, as with programs run from where they were built.
                Err(error) if entry.exec.is_some() => {
                    debug!(%error, app_id, "not activated, run instead")
                }
                Err(source) => {
                    return Err(LaunchError::Activation { name: app_id.to_owned(), source });
                }
            }
        }
        self.run(app_id, &entry, uri).await
    }

    /// `org.freedesktop.Application` of the app; the bus starts it.
    async fn activate(&self, app_id: &str, uri: Option<&str>) -> zbus::Result<()> {
        let name = WellKnownName::try_from(app_id)?;
        let path = format!("/{}", app_id.replace('.', "/").replace('-', "_"));
        let path = ObjectPath::try_from(path)?;
        let platform = HashMap::<&str, Variant<'_>>::new();
        let call = async |member: &str| -> zbus::Result<Message> {
            let interface = Some("org.freedesktop.Application");
            match uri {
                Some(uri) => {
                    let body = (vec![uri], platform);
                    self.session.call_method(Some(&name), &path, interface, member, &body).await
                }
                None => {
                    self.session
                        .call_method(Some(&name), &path, interface, member, &(platform,))
                        .await
                }
            }
        };
        match call(if uri.is_some() { "Open" } else { "Activate" }).await {
            // Started, and busy with starting: the arbiter waits for it to register.
            Err(zbus::Error::InputOutput(error))
                if error.kind() == std::io::ErrorKind::TimedOut =>
            {
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    async fn run(&self, app_id: &str, entry: &Entry, uri: Option<&str>) -> Result<(), LaunchError> {
        let file = || entry.file.clone();
        if entry.terminal {
            return Err(LaunchError::Terminal(file()));
        }
        let line = entry.exec.as_deref().ok_or_else(|| LaunchError::NoExec(file()))?;
        let words = exec::words(line, entry, uri);
        let words = words.map_err(|source| LaunchError::Exec { file: file(), source })?;
        let program = words.first().cloned().unwrap_or_default();
        let started = start::start(&self.session, app_id, entry, words).await;
        started.map_err(|source| LaunchError::Start { program, source })
    }
}

fn takes(entry: &Entry, handle: &str) -> bool {
    let scheme = handle.split_once(':').map(|(scheme, _)| scheme);
    scheme
        .is_some_and(|scheme| entry.schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)))
}
