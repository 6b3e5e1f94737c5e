//! A user's service manager: a real systemd on the desk's bus, in groups of its own, where systemd is not the first
//! process of the machine. Needs root, to make mounts and cgroups.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use harness::{Launch, Process, User, eventually};

use crate::desk::Desk;

const NAME: &str = "org.freedesktop.systemd1";

/// It believes that a system manager is there if this directory is; the machine's own is not touched. Once it is in
/// its groups it is the manager of what is below them.
const START: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/system && \
    for group in \"$@\"; do echo $$ > \"$group/cgroup.procs\" || exit 1; done && \
    exec /lib/systemd/systemd --user --log-target=console --unit=dbus.service";

/// It speaks on the session's bus once it knows of a unit that is that bus. This one stands for it.
const SOCKET: &str = "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=%t/stand-in\n";
const SERVICE: &str = "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\nAfter=dbus.socket\n\
    [Service]\nExecStart=/bin/sleep infinity\n";

pub struct Manager {
    process: Process,
    groups: Vec<PathBuf>,
}

impl Manager {
    pub async fn start(desk: &Desk) -> Result<Manager> {
        User::require_root()?;
        let units = desk.home().join(".config/systemd/user");
        let launch = desk.launch("unshare")?;
        fs::create_dir_all(&units)?;
        fs::write(units.join("dbus.socket"), SOCKET)?;
        fs::write(units.join("dbus.service"), SERVICE)?;
        let name = format!("callarbiter-test-{}", uuid::Uuid::new_v4().simple());
        let groups: Vec<PathBuf> = hierarchies()?.iter().map(|place| place.join(&name)).collect();
        let users: Vec<PathBuf> = groups.iter().map(|group| group.join("user@0.service")).collect();
        for group in &users {
            fs::create_dir_all(group).with_context(|| format!("making {}", group.display()))?;
        }
        let launch = ["--mount", "sh", "-c", START, "sh"].into_iter().fold(launch, Launch::arg);
        let launch = users.iter().fold(launch, |launch, group| launch.arg(group.as_os_str()));
        let process = launch.start(desk.bus().directory())?;
        let manager = Manager { process, groups };
        let there = async || desk.phone.peer.owner(NAME).await.ok().flatten();
        let owner = eventually("systemd (package systemd) is on the bus", there).await;
        owner.with_context(|| manager.process.log())?;
        Ok(manager)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // It first, or it starts again what ends.
        let _ = self.process.signal("KILL");
        let _ = self.process.ended();
        for group in &self.groups {
            end(group);
        }
    }
}

/// Where cgroups are mounted that systemd uses: the unified hierarchy, and on older systems its own as well.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let places = mounts.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let (place, kind, how) = (fields.get(1)?, fields.get(2)?, fields.get(3)?);
        (*kind == "cgroup2" || how.split(',').any(|word| word == "name=systemd"))
            .then(|| place.into())
    });
    Ok(places.collect())
}

/// Ends all processes of a group and of those below, and removes it.
fn end(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.path().is_dir() {
            end(&below.path());
        }
    }
    let deadline = Instant::now() + harness::PATIENCE;
    while Instant::now() < deadline {
        let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        if processes.is_empty() {
            break;
        }
        let _ = Command::new("kill").arg("-KILL").args(processes.split_whitespace()).status();
    }
    let _ = fs::remove_dir(group);
}
