//! The cgroup that a sandbox makes for its app: it is how the daemon sees the wall. Needs root.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::{PATIENCE, Peer};

/// A group of processes, and those above it up to one of the test's own; gone when dropped, so drop the processes first.
pub struct Cgroup {
    top: PathBuf,
    scope: PathBuf,
}

impl Cgroup {
    /// Puts the process of a connection where Flatpak puts those of its apps.
    pub async fn of_flatpak(app: &str, peer: &Peer) -> Result<Cgroup> {
        let pid: u32 = peer.bus("GetConnectionUnixProcessID", &peer.name()).await?;
        let top = unified_hierarchy()?.join(format!("callarbiter-test-{pid}"));
        let scope = top.join("user@1000.service/app.slice");
        let scope = scope.join(format!("app-flatpak-{app}-{pid}.scope"));
        fs::create_dir_all(&scope).with_context(|| format!("making {}", scope.display()))?;
        let cgroup = Cgroup { top, scope };
        fs::write(cgroup.scope.join("cgroup.procs"), pid.to_string())?;
        Ok(cgroup)
    }
}

impl Cgroup {
    fn is_empty(&self) -> bool {
        let events = fs::read_to_string(self.scope.join("cgroup.events"));
        events.is_ok_and(|events| events.lines().any(|line| line == "populated 0"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // What a sandbox's own init takes along when it is killed ends a moment later than that.
        let over = Instant::now() + PATIENCE;
        while !self.is_empty() && Instant::now() < over {
            std::thread::yield_now();
        }
        for group in self.scope.ancestors().take_while(|group| group.starts_with(&self.top)) {
            if let Err(error) = fs::remove_dir(group) {
                eprintln!("{} stays behind: {error}", group.display());
            }
        }
    }
}

/// Where cgroup v2 is mounted.
fn unified_hierarchy() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mounted = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let place = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(place))
    });
    mounted.context("cgroup v2 is not mounted here: no sandboxed caller can be made")
}
