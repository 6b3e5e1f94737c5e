//! Waiting with a deadline; the only place where the harness looks again.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, interval, timeout};

/// How long a test waits for what must happen: far beyond any sane machine's load.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How often something that cannot tell by itself is looked at again.
const GLANCE: Duration = Duration::from_millis(10);

/// After so many times what a look costs, at the earliest: one that starts a program may not keep busy who is waited for.
const REST: u32 = 3;

/// Waits until `look` finds something; fails, naming `what`, when it does not in time, also where a look hangs.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let mut glances = interval(GLANCE);
    let found = async {
        loop {
            glances.tick().await;
            let begun = Instant::now();
            if let Some(found) = look().await {
                return found;
            }
            glances.reset_after(GLANCE.max(begun.elapsed() * REST));
        }
    };
    let found = timeout(PATIENCE, found).await;
    found.map_err(|_| anyhow!("did not happen within {PATIENCE:?}: {what}"))
}
