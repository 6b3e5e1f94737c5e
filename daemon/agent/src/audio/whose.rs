//! Whose stream is it: the app, by what the kernel or the portal says of the process behind it.
//!
//! Owns that comparison. It never looks at what a stream says of itself, a `media.role` least of all. Two
//! processes without a unit of their own (a shell, a container) are one app if one descends from the other.

use std::{path::Path, process};

use callarbiter_identity::{Identity, PROC, Process as Proc};

use super::wanted::App;

/// How far up a process's family is looked.
const ANCESTORS: usize = 32;

/// Where a stream comes from, as the sound server knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// The sandbox's app id, from the portal.
    pub app_id: Option<String>,
    /// The process behind it; of a client that speaks PulseAudio's protocol the one that it declares.
    pub process: Option<Process>,
}

impl Origin {
    /// A sound of the agent itself: ringing, the waiting tone.
    pub fn is_own(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.pid == process::id())
    }
}

/// A process as it was when it was looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    pub pid: u32,
    identity: Identity,
    /// Its parent, and so on.
    ancestors: Vec<u32>,
}

impl Process {
    /// Of which nothing but its number is known.
    #[cfg(test)]
    pub fn numbered(pid: u32) -> Process {
        Process { pid, ..Process::default() }
    }

    /// This one, now; of one that is gone only the number is known.
    pub fn of(pid: u32) -> Process {
        let process = Proc::open(Path::new(PROC), pid);
        let identity = process.and_then(|process| process.identity()).unwrap_or_default();
        let mut ancestors = Vec::new();
        let mut of = pid;
        while let Some(parent) = parent(of).filter(|parent| *parent > 1) {
            if ancestors.len() == ANCESTORS {
                break;
            }
            ancestors.push(parent);
            of = parent;
        }
        Process { pid, identity, ancestors }
    }
}

impl App {
    /// Whether a stream of this origin is this app's.
    pub fn owns(&self, origin: &Origin) -> bool {
        if let Some(app_id) = &origin.app_id {
            return *app_id == self.app_id;
        }
        let Some(process) = &origin.process else { return false };
        let Identity { unit, app, .. } = &process.identity;
        if app.as_ref() == Some(&self.app_id) {
            return true;
        }
        let Some(own) = &self.process else { return false };
        match unit {
            _ if process.pid == own.pid => true,
            Some(_) => unit == &own.identity.unit,
            None => process.ancestors.contains(&own.pid),
        }
    }
}

fn parent(pid: u32) -> Option<u32> {
    let stat = Proc::open(Path::new(PROC), pid).ok()?.read("stat").ok()?;
    // The name in brackets may hold anything, brackets included.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "org.example.Phone";

    fn process(pid: u32, unit: Option<&str>, ancestors: &[u32]) -> Process {
        let app = unit.is_some_and(|unit| unit.starts_with("app-")).then(|| PHONE.to_owned());
        let identity = Identity { unit: unit.map(str::to_owned), sandbox: None, app };
        Process { pid, identity, ancestors: ancestors.to_vec() }
    }

    #[test]
    fn an_app_is_its_sandbox_its_unit_or_its_family() {
        let app = |process| App {
            provider: zbus::ObjectPath::from_static_str_unchecked("/p").into(),
            app_id: PHONE.into(),
            process: Some(process),
            audio: true,
            silence: false,
        };
        let (plain, in_unit) =
            (app(process(10, None, &[])), app(process(10, Some("phone.service"), &[])));
        let of = |process| Origin { app_id: None, process: Some(process) };
        assert!(plain.owns(&of(process(10, None, &[]))));
        assert!(plain.owns(&of(process(11, None, &[10, 2]))));
        assert!(!plain.owns(&of(process(9, None, &[2]))));
        assert!(plain.owns(&of(process(9, Some("app-org.example.Phone-1.scope"), &[]))));
        assert!(in_unit.owns(&of(process(9, Some("phone.service"), &[]))));
        assert!(!in_unit.owns(&of(process(11, Some("music.service"), &[10]))));
        let sandboxed = |app_id: &str| Origin {
            app_id: Some(app_id.into()),
            process: Some(process(10, None, &[])),
        };
        assert!(plain.owns(&sandboxed(PHONE)));
        assert!(!plain.owns(&sandboxed("org.example.Other")));
        assert!(!plain.owns(&Origin::default()));
        let unknown = App { process: None, ..plain };
        assert!(unknown.owns(&sandboxed(PHONE)));
        assert!(unknown.owns(&of(process(9, Some("app-org.example.Phone-1.scope"), &[]))));
        assert!(!unknown.owns(&of(process(10, None, &[]))));
    }

    #[test]
    fn a_real_process_has_its_family() {
        let own = Process::of(process::id());
        assert_eq!(own.ancestors.first().copied(), parent(process::id()).filter(|pid| *pid > 1));
    }
}
