//! logind's block inhibitors, taken on the system bus by the user's own process: polkit grants them to who
//! sits in front of the machine.
//!
//! Owns the connection, which there is only while a call needs it, and the locks: closing them releases.

use futures_util::StreamExt;
use tokio::sync::watch;
use tracing::{debug, info};
use zbus::{Connection, OwnedFd, connection::Builder, fdo::DBusProxy};

use super::{ANSWER_WITHIN, Pause, WHO, WHY, turns};

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

/// Holds the locks whenever they are wanted. `lid`: also against a lid that is closed, which `sleep` alone
/// does not stop.
pub async fn run(mut wanted: watch::Receiver<bool>, lid: bool) {
    let against =
        if lid { &["sleep", "idle", "handle-lid-switch"][..] } else { &["sleep", "idle"] };
    while turns(&mut wanted, true).await.is_some() {
        // Whatever it held is released with it.
        tokio::select! {
            () = keep(against) => {}
            _ = turns(&mut wanted, false) => {}
        }
    }
}

/// As long as it runs; where there is no bus, as soon as there is one.
async fn keep(against: &[&str]) {
    let mut pause = Pause::FIRST;
    loop {
        if let Err(error) = hold(against).await {
            debug!(%error, "the system bus is not there");
        }
        pause.pass().await;
    }
}

/// Until the bus is gone; over restarts of logind.
async fn hold(against: &[&str]) -> zbus::Result<()> {
    let system = Builder::system().method_timeout(ANSWER_WITHIN).build().await?;
    let bus = DBusProxy::new(&system).await?;
    let mut owners = bus.receive_name_owner_changed_with_args(&[(0, NAME)]).await?;
    let mut locks = take(&system, against).await;
    loop {
        let Some(change) = owners.next().await else { return Ok(()) };
        if change.args().is_ok_and(|args| args.new_owner().is_some()) {
            // The next logind may know nothing of what the last one gave; the old are released after.
            let new = take(&system, against).await;
            drop(std::mem::replace(&mut locks, new));
        }
    }
}

/// One lock each: what an administrator refuses leaves the others.
async fn take(system: &Connection, against: &[&str]) -> Vec<OwnedFd> {
    let mut locks = vec![];
    for what in against {
        let arguments = (*what, WHO, WHY, "block");
        let lock = system.call_method(Some(NAME), PATH, Some(MANAGER), "Inhibit", &arguments).await;
        match lock.and_then(|lock| lock.body().deserialize::<OwnedFd>()) {
            Ok(lock) => locks.push(lock),
            Err(error) => info!(what, "logind gives no lock: {error}"),
        }
    }
    locks
}
