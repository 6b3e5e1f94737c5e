//! Who a process is: its user unit, its sandbox, its app id, from the kernel's own words.
//!
//! Owns reading `/proc/PID`, which needs `ProtectProc=default`; for the daemon and for the agent, which
//! may read more of it. What the words mean is in `cgroup`; what an identity may do is decided elsewhere.

mod cgroup;

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{BorrowedFd, OwnedFd},
    path::Path,
    sync::OnceLock,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, Mode, OFlags, openat},
};
use thiserror::Error;

/// What the cgroup of a process says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The unit of the user's own service manager in which it runs, `callarbiter-agent.service`;
    /// none for system services and for plain login sessions.
    pub unit: Option<String>,
    /// The sandbox around it.
    pub sandbox: Option<Sandbox>,
    /// Its app id, from its sandbox or else from the name of its unit. That is inherited by everything
    /// that the app starts: a program run in a terminal may bear the terminal's.
    pub app: Option<String>,
}

/// A wall around a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Flatpak; its bus proxies run in the app's own cgroup.
    Flatpak,
    /// Snap. Classic snaps have no walls, but look the same from here.
    Snap,
    /// A container, by its cgroup, other than the one in which this daemon runs.
    Container(String),
    /// Nothing could be learnt, so it is treated as if walled.
    Unknown,
}

/// Why nothing could be learnt about a process.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// `/proc` would not say.
    #[error(
        "/proc/{pid}/{file} cannot be read ({source}); is /proc mounted with hidepid, or ProtectProc set?"
    )]
    Unreadable {
        /// The process.
        pid: u32,
        /// What was read.
        file: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// It said too much.
    #[error("/proc/{pid}/{file} is longer than {LONGEST} bytes")]
    TooLong {
        /// The process.
        pid: u32,
        /// What was read.
        file: &'static str,
    },
    /// The number belongs to a process of somebody else by now.
    #[error("process {pid} does not run as user {uid}: the one that connected is gone")]
    OtherUser {
        /// The process.
        pid: u32,
        /// The user whose it was, by the bus.
        uid: u32,
    },
    /// It ended while it was looked at.
    #[error("process {pid} is gone")]
    Gone {
        /// The process.
        pid: u32,
    },
}

/// Where the kernel tells of processes.
pub const PROC: &str = "/proc";

/// Fourteen hierarchies of cgroup v1, each with a path of `PATH_MAX`, fit.
const LONGEST: u64 = 64 * 1024;

impl Identity {
    /// Of a process about which nothing could be learnt: no unit, no app id, no trust.
    pub fn unknown() -> Identity {
        Identity { unit: None, sandbox: Some(Sandbox::Unknown), app: None }
    }

    /// Whether there is a wall around it.
    pub fn sandboxed(&self) -> bool {
        self.sandbox.is_some()
    }
}

/// Identifies the process that the bus says is behind a connection.
///
/// A pid may be reused: everything is read below one open `/proc/PID`, which never becomes another
/// process, and the user must match. That the process which connected is still the one with this
/// number is certain only with `pidfd`, the bus's `ProcessFD`; without it, a process of the same user
/// could pass its connection on, end, and leave its number to another.
pub fn identify(
    pid: u32,
    uid: u32,
    pidfd: Option<BorrowedFd<'_>>,
) -> Result<Identity, IdentityError> {
    let process = Process::open(Path::new(PROC), pid)?;
    let identity = process.identity()?;
    process.must_run_as(uid)?;
    match pidfd.is_some_and(ended) {
        true => Err(IdentityError::Gone { pid }),
        false => Ok(identity),
    }
}

/// One process, by an open directory.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    dir: OwnedFd,
}

impl Process {
    /// The process with this number below [`PROC`], or below what stands for it.
    pub fn open(proc: &Path, pid: u32) -> Result<Process, IdentityError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, proc.join(pid.to_string()), flags, Mode::empty())
            .map_err(|error| IdentityError::Unreadable { pid, file: "", source: error.into() })?;
        Ok(Process { pid, dir })
    }

    /// What its cgroup says.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        Ok(cgroup::identity(&self.read("cgroup")?, own_container()))
    }

    /// Refuses a process of anybody else.
    pub fn must_run_as(&self, uid: u32) -> Result<(), IdentityError> {
        match runs_as(&self.read("status")?, uid) {
            true => Ok(()),
            false => Err(IdentityError::OtherUser { pid: self.pid, uid }),
        }
    }

    /// One of its files. What lies below its `root` it may have made itself: a pipe is not waited for.
    pub fn read(&self, file: &'static str) -> Result<String, IdentityError> {
        let pid = self.pid;
        let unreadable = |source| IdentityError::Unreadable { pid, file, source };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = openat(&self.dir, file, flags, Mode::empty())
            .map_err(|error| unreadable(error.into()))?;
        let opened = File::from(opened);
        if !opened.metadata().map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::other("it is no file")));
        }
        let mut text = Vec::new();
        opened.take(LONGEST + 1).read_to_end(&mut text).map_err(unreadable)?;
        if text.len() as u64 > LONGEST {
            return Err(IdentityError::TooLong { pid, file });
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Whether one of the ids in the `Uid:` line of `/proc/PID/status` is `uid`.
fn runs_as(status: &str, uid: u32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .is_some_and(|ids| ids.split_whitespace().any(|id| id.parse() == Ok(uid)))
}

/// A pidfd becomes readable when its process ends.
fn ended(pidfd: BorrowedFd<'_>) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    !matches!(poll(&mut fds, Some(&at_once)), Ok(0))
}

/// The container in which the daemon itself runs: whoever shares it is not walled off from us.
fn own_container() -> Option<&'static str> {
    static OWN: OnceLock<Option<String>> = OnceLock::new();
    OWN.get_or_init(|| {
        let own = Process::open(Path::new(PROC), std::process::id());
        let groups = own.and_then(|own| own.read("cgroup")).ok()?;
        match cgroup::identity(&groups, None).sandbox {
            Some(Sandbox::Container(name)) => Some(name),
            _ => None,
        }
    })
    .as_deref()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{os::fd::AsFd, process::Command};

    use rustix::process::{Pid, PidfdFlags, getuid, pidfd_open};

    use super::*;

    #[test]
    fn this_process_is_not_behind_a_wall() {
        let identity = identify(std::process::id(), getuid().as_raw(), None).unwrap();
        assert!(!identity.sandboxed(), "{identity:?}");
    }

    #[test]
    fn a_process_of_another_user_is_not_ours() {
        let other = getuid().as_raw() + 1;
        let refused = identify(std::process::id(), other, None).unwrap_err();
        assert!(matches!(refused, IdentityError::OtherUser { .. }), "{refused}");
        assert!(runs_as("Name:\tx\nUid:\t0\t1000\t0\t0\n", 1000));
        assert!(!runs_as("Name:\tx\nGid:\t1000\n", 1000));
    }

    #[test]
    fn a_process_that_ended_has_no_identity() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        let pidfd = pidfd_open(Pid::from_raw(pid as i32).unwrap(), PidfdFlags::empty()).unwrap();
        assert!(!ended(own_pidfd().as_fd()));
        child.wait().unwrap();
        assert!(ended(pidfd.as_fd()));
        let refused = identify(pid, getuid().as_raw(), Some(pidfd.as_fd())).unwrap_err();
        assert!(refused.to_string().contains(&pid.to_string()), "{refused}");
    }

    fn own_pidfd() -> OwnedFd {
        let own = Pid::from_raw(std::process::id() as i32).unwrap();
        pidfd_open(own, PidfdFlags::empty()).unwrap()
    }
}
