//! A process for an app, in a unit of its own, so that whoever asks who it is learns that.
//!
//! Owns the way to the user's service manager. It makes a service rather than a scope: a scope is made for a
//! process that already runs, and one that is quick would meet the arbiter as a part of this agent.

use std::{
    env, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use futures_util::StreamExt;
use thiserror::Error;
use tokio::{process::Command, time::timeout};
use uuid::Uuid;
use zbus::{
    Connection, MatchRule, MessageStream, OwnedObjectPath, Variant, fdo::DBusProxy, message::Type,
    names::BusName,
};

use super::entry::Entry;

const MANAGER: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// How long a program may take to be loaded; that of an app in a sandbox is the sandbox's.
const LOADED_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no process.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("there is no such program in PATH, or it must not be run")]
    NoProgram,
    #[error("the user's service manager: {0}")]
    Manager(#[from] zbus::Error),
    #[error(
        "the user's service manager says {result}; `systemctl --user status {unit}` and the journal tell more"
    )]
    Unit { unit: String, result: String },
    #[error("{0}")]
    Spawn(#[from] io::Error),
}

/// Starts what an `Exec` line came to.
pub async fn start(
    session: &Connection,
    app_id: &str,
    entry: &Entry,
    words: Vec<String>,
) -> Result<(), StartError> {
    let program = words.first().and_then(|name| program(name)).ok_or(StartError::NoProgram)?;
    match has_manager(session).await {
        true => as_service(session, app_id, entry, &program, &words).await,
        false => as_child(entry, &program, &words),
    }
}

/// Whether `Exec` or `TryExec` names something that can be run.
pub fn is_program(name: &str) -> bool {
    program(name).is_some()
}

fn program(name: &str) -> Option<PathBuf> {
    let runs = |path: &PathBuf| {
        let found = path.metadata();
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_absolute() && runs(path));
    }
    let places = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&places).map(|place| place.join(name)).find(runs)
}

async fn has_manager(session: &Connection) -> bool {
    let there = async || {
        let bus = DBusProxy::new(session).await.ok()?;
        bus.name_has_owner(BusName::try_from(MANAGER).ok()?).await.ok()
    };
    there().await == Some(true)
}

async fn as_service(
    session: &Connection,
    app_id: &str,
    entry: &Entry,
    program: &Path,
    words: &[String],
) -> Result<(), StartError> {
    let unit = unit_name(app_id);
    let program = program.to_string_lossy().into_owned();
    let home = entry.path.as_ref().map_or("~".into(), |path| path.to_string_lossy());
    let properties = vec![
        ("Description", Variant::from(entry.name.as_str())),
        ("SourcePath", Variant::from(entry.file.to_string_lossy().into_owned())),
        ("Slice", Variant::from("app.slice")),
        ("Type", Variant::from("exec")),
        // An app that goes on in another process than the first goes on.
        ("ExitType", Variant::from("cgroup")),
        ("CollectMode", Variant::from("inactive-or-failed")),
        ("WorkingDirectory", Variant::from(home.into_owned())),
        ("ExecStart", Variant::from(vec![(program, words.to_vec(), false)])),
    ];
    let auxiliary: Vec<(&str, Vec<(&str, Variant<'_>)>)> = vec![];

    // Before the unit is asked for, so that no word is missed.
    let removed = MatchRule::builder().msg_type(Type::Signal).sender(MANAGER);
    let removed = removed.interface(MANAGER_INTERFACE).member("JobRemoved").build();
    let removed = MessageStream::for_match_rule(removed?, session, None).await?;
    let body = (&unit, "fail", properties, auxiliary);
    let interface = Some(MANAGER_INTERFACE);
    let job =
        session.call_method(Some(MANAGER), MANAGER_PATH, interface, "StartTransientUnit", &body);
    let job: OwnedObjectPath = job.await?.body().deserialize()?;
    match timeout(LOADED_WITHIN, outcome(removed, &job)).await {
        // Slow, but on its way: the arbiter waits for it to register.
        Err(_) => Ok(()),
        Ok(result) if result == "done" => Ok(()),
        Ok(result) => Err(StartError::Unit { unit, result }),
    }
}

async fn outcome(mut removed: MessageStream, job: &OwnedObjectPath) -> String {
    while let Some(message) = removed.next().await {
        let Ok(message) = message else { continue };
        let told = message.body().deserialize::<(u32, OwnedObjectPath, String, String)>();
        if let Ok((_, path, _, result)) = told
            && path == *job
        {
            return result;
        }
    }
    "nothing".to_owned()
}

/// As the desktops have agreed: `app-LAUNCHER-ID@RANDOM.service`.
fn unit_name(app_id: &str) -> String {
    let mut escaped = String::new();
    for byte in app_id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("\\x{byte:02x}")),
        }
    }
    format!("app-callarbiter-{escaped}@{}.service", Uuid::new_v4().simple())
}

/// Where no service manager is: nothing but this agent starts processes.
fn as_child(entry: &Entry, program: &Path, words: &[String]) -> Result<(), StartError> {
    let mut command = Command::new(program);
    command.args(words.iter().skip(1)).process_group(0);
    // What an app writes may be anything, and this agent's log is no place for it.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(path) = &entry.path {
        command.current_dir(path);
    }
    let mut child = command.spawn()?;
    tokio::spawn(async move { child.wait().await });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_units_name_is_the_desktops_and_says_the_app() {
        let name = unit_name("org.x.My-Phone");
        assert!(name.starts_with(r"app-callarbiter-org.x.My\x2dPhone@"), "{name}");
        assert!(name.ends_with(".service"), "{name}");
    }

    #[test]
    fn programs_are_looked_for_in_path() {
        assert!(is_program("sh") && is_program("/bin/sh"));
        assert!(!is_program("/bin") && !is_program("no-such-program") && !is_program("bin/sh"));
    }
}
