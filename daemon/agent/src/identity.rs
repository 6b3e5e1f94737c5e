//! Identity: who a process is, where the arbiter cannot read it: what a sandbox says of its app inside of it.
//!
//! Owns the order of the sources: the sandbox's own metadata, the unit, what the process declares. What
//! follows from an identity, the arbiter decides.

use std::{
    io,
    path::{Path, PathBuf},
};

use callarbiter::words::AppIdSource;
use callarbiter_dbus::{AgentAnswer, ErrorKind, limits::is_app_id};
use callarbiter_identity::{IdentityError, PROC, Process, Sandbox};
use rustix::process::getuid;
use thiserror::Error;
use tokio::{sync::mpsc::UnboundedReceiver, task::spawn_blocking};
use tracing::info;

use crate::{
    launch,
    orders::{Identify, Inbox, Order},
    scene::Told,
};

/// Until it is told nothing any more.
pub async fn run(mut told: UnboundedReceiver<Told>, mut orders: Inbox<Identify>) {
    let identifier = Identifier::new(Path::new(PROC), getuid().as_raw(), launch::folders());
    loop {
        tokio::select! {
            biased;
            next = told.recv() => if next.is_none() { return },
            Some(order) = orders.recv() => {
                let identifier = identifier.clone();
                tokio::spawn(async move { answer(identifier, order).await });
            }
        }
    }
}

/// A process may have made a file system its root that never answers: it is waited for on a thread of its own.
async fn answer(identifier: Identifier, Order { what, reply }: Order<Identify>) {
    let pid = what.pid;
    let found = spawn_blocking(move || identifier.identify(what.pid, &what.declared)).await;
    match found {
        Ok(Ok((app, source))) => {
            info!(pid, app, source = source.as_str(), "identified");
            let (app_id, source) = (Some(app), Some(source));
            let answer = AgentAnswer { app_id, source, ..AgentAnswer::default() };
            reply.send(answer.to_dict()).await;
        }
        Ok(Err(error)) => {
            info!("not identified: {error}");
            reply.fail(ErrorKind::NotSupported, error.to_string()).await;
        }
        // It panicked, which the log has.
        Err(_) => {}
    }
}

/// The app of a process in a sandbox; none of a process of this user outside of any.
pub fn behind_wall(pid: u32) -> Result<Option<String>, NoIdentity> {
    let identifier = Identifier::new(Path::new(PROC), getuid().as_raw(), launch::folders());
    match identifier.identify(pid, "") {
        Ok((app, AppIdSource::Sandbox)) => Ok(Some(app)),
        Ok(_) | Err(NoIdentity::Nameless(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the kernel tells of processes, and whose they must be.
#[derive(Clone, Debug)]
struct Identifier {
    proc: PathBuf,
    uid: u32,
    /// Where desktop entries lie.
    folders: Vec<PathBuf>,
}

/// Why a process has no app id.
#[derive(Debug, Error)]
pub enum NoIdentity {
    #[error(transparent)]
    Process(#[from] IdentityError),
    #[error("process {0} is in a sandbox that does not say which app it is")]
    Silent(u32),
    #[error("process {0} is no app's by its unit, and declares none")]
    Nameless(u32),
}

impl Identifier {
    /// Of processes of this user below `proc`.
    fn new(proc: &Path, uid: u32, folders: Vec<PathBuf>) -> Identifier {
        Identifier { proc: proc.to_owned(), uid, folders }
    }

    /// The app id of a process, and its source; `declared` is what it says itself.
    fn identify(&self, pid: u32, declared: &str) -> Result<(String, AppIdSource), NoIdentity> {
        let process = Process::open(&self.proc, pid)?;
        process.must_run_as(self.uid)?;
        if let Some(text) = inside(&process, FLATPAK_INFO)? {
            let app = flatpak_name(&text).ok_or(NoIdentity::Silent(pid))?;
            return Ok((app, AppIdSource::Sandbox));
        }
        let known = process.identity()?;
        if let Some(app) = known.app {
            let source =
                if known.sandbox.is_some() { AppIdSource::Sandbox } else { AppIdSource::Unit };
            return Ok((app, source));
        }
        // A snap's walls are AppArmor's, which says whose they are.
        let label = |file| snap_label(&process.read(file).ok()?);
        if matches!(known.sandbox, None | Some(Sandbox::Snap))
            && let Some(app) = LABELS.into_iter().find_map(label)
        {
            return Ok((app, AppIdSource::Sandbox));
        }
        if known.sandbox.is_some() {
            return Err(NoIdentity::Silent(pid));
        }
        match known.unit.as_deref().and_then(|unit| self.activated(unit)) {
            Some(app) => Ok((app, AppIdSource::Unit)),
            None if is_app_id(declared) => Ok((declared.to_owned(), AppIdSource::Declared)),
            None => Err(NoIdentity::Nameless(pid)),
        }
    }

    /// The app that the bus started: systemd's unit bears the bus name, which is the app's id where its
    /// entry says that the bus activates it.
    fn activated(&self, unit: &str) -> Option<String> {
        // dbus-broker: `dbus-:1.2-org.x.Phone@0.service`.
        let name = unit.strip_prefix("dbus-:")?.strip_suffix(".service")?;
        let (name, _nth) = name.rsplit_once('@')?;
        let (_bus, app) = name.split_once('-')?;
        let entry = launch::find(&self.folders, app).ok()?;
        entry.bus_activatable.then(|| app.to_owned())
    }
}

/// Put there by Flatpak, where the app cannot change it; its portals believe it as well.
const FLATPAK_INFO: &str = "root/.flatpak-info";

/// Where AppArmor says how a process is confined, in newer kernels and older ones.
const LABELS: [&str; 2] = ["attr/apparmor/current", "attr/current"];

/// A file of the process's own root, if it is there.
fn inside(process: &Process, file: &'static str) -> Result<Option<String>, IdentityError> {
    match process.read(file) {
        Ok(text) => Ok(Some(text)),
        Err(IdentityError::Unreadable { source, .. })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// `name` in the group `[Application]`, or `[Runtime]` for one that is tried out.
fn flatpak_name(info: &str) -> Option<String> {
    let mut in_group = false;
    for line in info.lines().map(str::trim) {
        if line.starts_with('[') {
            in_group = matches!(line, "[Application]" | "[Runtime]");
        } else if let Some((key, value)) = line.split_once('=').filter(|_| in_group)
            && key.trim_end() == "name"
        {
            return Some(value.trim_start().to_owned()).filter(|app| is_app_id(app));
        }
    }
    None
}

/// `snap.NAME.APP (enforce)`: `NAME_APP`, as its desktop file is called. Without enforcement there is no wall
/// that could say anything.
fn snap_label(label: &str) -> Option<String> {
    let label = label.trim_end_matches(['\n', '\0']).strip_suffix(" (enforce)")?;
    let (name, app) = label.strip_prefix("snap.")?.split_once('.')?;
    let app = format!("{name}_{app}");
    (!app.contains("_hook.") && is_app_id(&app)).then_some(app)
}

#[cfg(test)]
mod tests;
