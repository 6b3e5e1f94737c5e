//! An arbiter of one's own, for the demo: `callarbiterd --bus embedded`, as a child that ends with the
//! command.
//!
//! Owns finding, starting and stopping it. Must not know what it is asked to do.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::failure::Failure;

/// The daemon says its address at once or not at all; a slow disk may take a while to load it.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// It has nothing to save; longer means that it hangs.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

pub struct Arbiter {
    pub address: String,
    pub program: PathBuf,
    pub pid: u32,
    child: Child,
}

impl Arbiter {
    pub async fn start() -> Result<Self, Failure> {
        let program = find();
        let failed = |why: String| {
            Failure::refused(format!(
                "callctl could not start {}: {why}\n  it is looked for beside callctl, in ../libexec, then in PATH",
                program.display()
            ))
        };
        let mut child = Command::new(&program)
            .args(["--bus", "embedded", "--log", "warn"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C goes to the whole terminal group: the command takes leave of its arbiter itself.
            .process_group(0)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (Some(stdout), Some(pid)) = (child.stdout.take(), child.id()) else {
            return Err(failed("it ended at once".to_owned()));
        };
        let mut lines = BufReader::new(stdout).lines();
        match timeout(START_DEADLINE, lines.next_line()).await {
            Ok(Ok(Some(address))) => {
                // Nobody reads further; a later line must not break the daemon's pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                Ok(Arbiter { address: without_guid(&address), program, pid, child })
            }
            Ok(_) => {
                let status = child.wait().await.map_or_else(|e| e.to_string(), |s| s.to_string());
                Err(failed(format!(
                    "it ended without saying its address ({status}); a daemon that was built for \
                     installation has no bus of its own: `cargo build -p callarbiterd` makes one \
                     that has"
                )))
            }
            Err(_) => Err(failed("it did not say the address of its bus in time".to_owned())),
        }
    }

    /// Ends when the daemon does, which it should not while the command runs.
    pub async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status_text(status),
            Err(error) => error.to_string(),
        }
    }

    /// Asks it to end, so that it takes its socket away; insists when it does not.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Fails only if it is gone already: its pid is ours until it was waited for.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// The address as short as it works: the guid only guards against a bus that was replaced.
fn without_guid(address: &str) -> String {
    let address = address.trim();
    let end = address.find(",guid=").unwrap_or(address.len());
    address.get(..end).unwrap_or(address).to_owned()
}

fn status_text(status: ExitStatus) -> String {
    format!("callarbiterd ended by itself ({status})")
}

/// Beside this program, as it is built; in libexec, as it is installed; else wherever PATH has it.
pub fn find() -> PathBuf {
    let own = std::env::current_exe().ok().and_then(|own| own.canonicalize().ok());
    let dir = own.as_deref().and_then(Path::parent);
    let places = dir.map(|dir| [dir.join("callarbiterd"), dir.join("../libexec/callarbiterd")]);
    let found = places.into_iter().flatten().find(|path| path.is_file());
    found.unwrap_or_else(|| PathBuf::from("callarbiterd"))
}
