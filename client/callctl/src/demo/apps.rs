//! The demo's two applications: small providers that do what they are asked and simulate a far end.
//!
//! Owns what a calling app does: answer, hold, hang up, with the short delays of a network, and open
//! the audio only when it is told to. Knows nothing of the other app and of the story: each has its own
//! connection, as two processes would.

use std::time::{Duration, Instant};

use callarbiter::{
    CallState, CallUpdate, Connection, Delegate, Performed, Provider, Request as Asked, Uuid,
};
use tokio::{sync::mpsc::UnboundedSender, time::sleep};

use super::checks::{Heard, Request, Word};
use crate::failure::Failure;

/// How long the simulated network and the simulated far end take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Signalling there and back.
    pub network: Duration,
    /// A person who picks up.
    pub person: Duration,
}

/// An app that is registered with the arbiter.
pub struct App {
    pub name: &'static str,
    provider: Provider,
}

impl App {
    pub async fn register(
        name: &'static str,
        app_id: &str,
        connection: &Connection,
        pace: Pace,
        journal: Journal,
    ) -> Result<Self, callarbiter::Error> {
        let phone = Phone { diary: Diary { name, journal }, pace };
        let builder = Provider::builder(app_id).display_name(name).schemes(["sip", "tel"]);
        let provider = builder.register(connection, phone).await?;
        Ok(App { name, provider })
    }

    /// Somebody calls this app.
    pub async fn ring(&self, call: Uuid, who: &str, handle: &str) -> Result<(), Failure> {
        let update = CallUpdate {
            remote_handle: Some(handle.to_owned()),
            display_name: Some(who.to_owned()),
            ..CallUpdate::default()
        };
        let reported = self.provider.report_incoming(call, update).await;
        reported.map(drop).map_err(|error| {
            Failure::refused(format!("{}'s report of a call was refused: {error}", self.name))
        })
    }
}

/// Where the apps write down what they hear and answer, for the story to check.
#[derive(Clone)]
pub struct Journal {
    pub began: Instant,
    pub heard: UnboundedSender<Heard>,
}

#[derive(Clone)]
struct Diary {
    name: &'static str,
    journal: Journal,
}

impl Diary {
    fn note(&self, what: Word) {
        let at = self.journal.began.elapsed();
        // The story is over when nobody reads on; the app goes on all the same.
        let _ = self.journal.heard.send(Heard { at, app: self.name, what });
    }
}

/// What the arbiter asks of the app.
struct Phone {
    diary: Diary,
    pace: Pace,
}

impl Phone {
    async fn perform(&self, request: Request, takes: Duration) -> Performed {
        self.diary.note(Word::Asked(request));
        sleep(takes).await;
        self.diary.note(Word::Done(request));
        Ok(())
    }
}

impl Delegate for Phone {
    async fn perform_start(&self, asked: &Asked, call: Uuid, _handle: &str) -> Performed {
        self.perform(Request::Start, self.pace.network).await?;
        let far_end = pick_up(asked.provider().clone(), call, self.diary.clone(), self.pace);
        tokio::spawn(far_end);
        Ok(())
    }

    async fn perform_answer(&self, _: &Asked, _: Uuid) -> Performed {
        self.perform(Request::Answer, self.pace.network).await
    }

    async fn perform_end(&self, _: &Asked, _: Uuid) -> Performed {
        self.perform(Request::End, self.pace.network).await
    }

    async fn perform_set_held(&self, _: &Asked, _: Uuid, held: bool) -> Performed {
        let request = if held { Request::Hold } else { Request::Resume };
        self.perform(request, self.pace.network).await
    }

    async fn perform_set_muted(&self, _: &Asked, _: Uuid, muted: bool) -> Performed {
        let request = if muted { Request::Mute } else { Request::Unmute };
        self.perform(request, Duration::ZERO).await
    }

    async fn perform_set_group(&self, _: &Asked, _: Uuid, _: Option<Uuid>) -> Performed {
        self.perform(Request::Group, self.pace.network).await
    }

    async fn perform_play_dtmf(&self, _: &Asked, _: Uuid, digits: &str) -> Performed {
        // What a tone and the gap after it take.
        let tones = u32::try_from(digits.len()).unwrap_or(u32::MAX);
        self.perform(Request::Tones, Duration::from_millis(150).saturating_mul(tones)).await
    }

    async fn audio_activated(&self, _: &Asked, _: &[Uuid]) -> Performed {
        self.perform(Request::AudioActivated, Duration::ZERO).await
    }

    async fn audio_deactivated(&self, _: &Asked, _: &[Uuid]) -> Performed {
        self.perform(Request::AudioDeactivated, Duration::ZERO).await
    }
}

/// A call that this app placed rings somewhere, and somebody picks up.
async fn pick_up(provider: Provider, call: Uuid, diary: Diary, pace: Pace) {
    for (state, word, takes) in [
        (CallState::Alerting, "alerting", pace.network),
        (CallState::Active, "active", pace.person),
    ] {
        sleep(takes).await;
        diary.note(Word::Reported(word));
        // Refused when the call has ended meanwhile: then nobody picks up.
        if provider.report_state(call, state).await.is_err() {
            break;
        }
    }
}
