//! One request of the arbiter, as the app sees it while it performs.
//!
//! Owns its deadline, and asking for more time in time.

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callarbiter_dbus::{
    PerformOptions,
    words::{EndReason, Origin},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::Provider;
use crate::Result;

/// How often the arbiter gives more time.
const EXTENSIONS: u32 = 3;

/// A request that is being performed.
pub struct Request {
    id: String,
    options: PerformOptions,
    provider: Provider,
    clock: Arc<Clock>,
    cancelled: watch::Receiver<bool>,
}

/// How long the arbiter waits for one request.
pub(super) struct Clock {
    times: Mutex<Times>,
    restarted: Notify,
}

#[derive(Clone, Copy)]
struct Times {
    deadline: Option<Instant>,
    /// What the arbiter gave at first, and gives again at most.
    given: Duration,
    extensions: u32,
}

impl Clock {
    pub fn new(deadline_ms: Option<u32>) -> Self {
        Clock { times: Mutex::new(Times::new(deadline_ms)), restarted: Notify::new() }
    }

    /// The same request came again, from an arbiter that was away.
    pub fn restart(&self, deadline_ms: Option<u32>) {
        *self.times() = Times::new(deadline_ms);
        self.restarted.notify_one();
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    fn new(deadline_ms: Option<u32>) -> Self {
        let given = deadline_ms.map(|ms| Duration::from_millis(ms.into()));
        Times {
            deadline: given.map(|given| Instant::now() + given),
            given: given.unwrap_or_default(),
            extensions: 0,
        }
    }

    /// When to ask for more time, and for how much.
    fn next_extension(&self) -> Option<(Instant, Duration)> {
        let deadline = self.deadline.filter(|_| self.extensions < EXTENSIONS)?;
        Some((deadline - self.given / 3, self.given))
    }
}

impl Request {
    pub(super) fn new(
        id: String,
        options: PerformOptions,
        provider: Provider,
        clock: Arc<Clock>,
        cancelled: watch::Receiver<bool>,
    ) -> Self {
        Request { id, options, provider, clock, cancelled }
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
        self.clock.times().deadline.map(Instant::into_std)
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
            let mut times = self.clock.times();
            let more = more.min(times.given);
            times.extensions += 1;
            times.deadline = times.deadline.map(|deadline| deadline + more);
            more
        };
        let ms = u32::try_from(more.as_millis()).unwrap_or(u32::MAX);
        loop {
            let attachment = self.provider.attachment_in_time().await?;
            let answer = attachment.provider().await?.progress(&self.id, ms).await;
            if self.provider.heard(&attachment, answer).await?.is_some() {
                return Ok(());
            }
        }
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
        loop {
            let extension = self.clock.times().next_extension();
            let due = async {
                match extension {
                    Some((due, more)) => {
                        tokio::time::sleep_until(due).await;
                        more
                    }
                    None => std::future::pending().await,
                }
            };
            let more = tokio::select! {
                () = self.clock.restarted.notified() => continue,
                more = due => more,
            };
            // The app itself may have asked meanwhile.
            let still = self.clock.times().next_extension();
            if still.map(|(due, _)| due) == extension.map(|(due, _)| due)
                && let Err(error) = self.progress(more).await
            {
                tracing::debug!(%error, "the call arbiter gives no more time");
                // But one that comes back may.
                self.clock.restarted.notified().await;
            }
        }
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
