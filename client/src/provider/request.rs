//! One request of the arbiter, as the app sees it while it performs.
//!
//! Owns its deadline, and asking for more time in time.

use std::{
    convert::Infallible,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callarbiter_dbus::{
    PerformOptions,
    words::{EndReason, Origin},
};
use tokio::{sync::watch, time::Instant};

use super::Provider;
use crate::Result;

/// How often the arbiter gives more time.
const EXTENSIONS: u32 = 3;

/// A request that is being performed.
pub struct Request {
    id: String,
    options: PerformOptions,
    provider: Provider,
    clock: Mutex<Clock>,
    cancelled: watch::Receiver<bool>,
}

struct Clock {
    deadline: Option<Instant>,
    /// What the arbiter gave at first, and gives again at most.
    given: Duration,
    extensions: u32,
}

impl Request {
    pub(super) fn new(
        id: String,
        options: PerformOptions,
        provider: Provider,
        cancelled: watch::Receiver<bool>,
    ) -> Self {
        let given = options.deadline_ms.map(|ms| Duration::from_millis(ms.into()));
        let clock = Clock {
            deadline: given.map(|given| Instant::now() + given),
            given: given.unwrap_or_default(),
            extensions: 0,
        };
        Request { id, options, provider, clock: Mutex::new(clock), cancelled }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose wish it is.
    pub fn origin(&self) -> Option<&Origin> {
        self.options.origin.as_ref()
    }

    /// When the arbiter gives up waiting; none where it does not.
    pub fn deadline(&self) -> Option<std::time::Instant> {
        self.clock().deadline.map(Instant::into_std)
    }

    /// For a start: with video.
    pub fn has_video(&self) -> bool {
        self.options.has_video
    }

    /// For an end: why, so that the network hears the truth (declined, answered elsewhere …).
    pub fn reason(&self) -> Option<&EndReason> {
        self.options.reason.as_ref()
    }

    /// For an end: a sentence for the far end.
    pub fn message(&self) -> Option<&str> {
        self.options.message.as_deref()
    }

    /// The provider that is asked, to report with.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Asks for more time. Happens by itself when the time runs out, up to three times; the arbiter
    /// gives at most what it gave at first.
    pub async fn progress(&self, more: Duration) -> Result<()> {
        let more = {
            let mut clock = self.clock();
            let more = more.min(clock.given);
            clock.extensions += 1;
            clock.deadline = clock.deadline.map(|deadline| deadline + more);
            more
        };
        let arbiter = self.provider.attached().await?;
        let ms = u32::try_from(more.as_millis()).unwrap_or(u32::MAX);
        Ok(arbiter.progress(&self.id, ms).await?)
    }

    /// Whether nobody waits for the result any more.
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Waits until nobody waits for the result any more: the call was ended meanwhile, or the time
    /// was over.
    pub async fn cancelled(&self) {
        if self.cancelled.clone().wait_for(|cancelled| *cancelled).await.is_err() {
            std::future::pending().await
        }
    }

    /// Asks for more time whenever a third of it is left, as often as the arbiter allows; never ends.
    pub(super) async fn keep_alive(&self) -> Infallible {
        while let Some((due, more)) = self.next_extension() {
            tokio::time::sleep_until(due).await;
            if self.next_extension().is_none_or(|(now_due, _)| now_due > due) {
                continue;
            }
            if let Err(error) = self.progress(more).await {
                tracing::debug!(%error, "the call arbiter gives no more time");
                break;
            }
        }
        std::future::pending().await
    }

    fn next_extension(&self) -> Option<(Instant, Duration)> {
        let clock = self.clock();
        let deadline = clock.deadline.filter(|_| clock.extensions < EXTENSIONS)?;
        Some((deadline - clock.given / 3, clock.given))
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
