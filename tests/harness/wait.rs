//! Waiting with a deadline; the only place where the harness looks again.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// How long a test waits for what must happen: far beyond any sane machine's load.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often something that cannot tell by itself is looked at again.
const GLANCE: Duration = Duration::from_millis(10);

/// Waits until `look` finds something; fails, naming `what`, when it does not in time.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("did not happen within {PATIENCE:?}: {what}");
        }
        sleep(GLANCE).await;
    }
}
