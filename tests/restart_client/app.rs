//! An app as its author would write it: it does what it is asked, at once or when it is let, and remembers what.
//! It knows nothing of restarts.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use callarbiter::{CallUpdate, Delegate, Performed, Provider, Request, Uuid};
use harness::eventually;
use tokio::sync::Notify;

use crate::stage::in_time;

pub struct App {
    pub hands: Arc<Hands>,
    pub provider: Provider,
}

#[derive(Default)]
pub struct Hands {
    done: Mutex<Vec<&'static str>>,
    slow: Mutex<bool>,
    at_work: Notify,
    go_on: Notify,
    audible: Mutex<Vec<Uuid>>,
}

pub struct Acts(pub Arc<Hands>);

impl Acts {
    async fn act(&self, what: &'static str) -> Performed {
        let slow = std::mem::take(&mut *self.0.slow.lock().unwrap());
        if slow {
            self.0.at_work.notify_one();
            self.0.go_on.notified().await;
        }
        self.0.done.lock().unwrap().push(what);
        Ok(())
    }
}

impl Delegate for Acts {
    async fn perform_start(&self, _: &Request, _: Uuid, _: &str) -> Performed {
        self.act("start").await
    }
    async fn perform_answer(&self, _: &Request, _: Uuid) -> Performed {
        self.act("answer").await
    }
    async fn perform_end(&self, _: &Request, _: Uuid) -> Performed {
        self.act("end").await
    }
    async fn perform_set_held(&self, _: &Request, _: Uuid, held: bool) -> Performed {
        self.act(if held { "hold" } else { "unhold" }).await
    }
    async fn perform_set_muted(&self, _: &Request, _: Uuid, muted: bool) -> Performed {
        self.act(if muted { "mute" } else { "unmute" }).await
    }
    async fn perform_play_dtmf(&self, _: &Request, _: Uuid, _: &str) -> Performed {
        self.act("dtmf").await
    }
    async fn audio_activated(&self, _: &Request, calls: &[Uuid]) -> Performed {
        *self.0.audible.lock().unwrap() = calls.to_vec();
        Ok(())
    }
    async fn audio_deactivated(&self, _: &Request, _: &[Uuid]) -> Performed {
        self.0.audible.lock().unwrap().clear();
        Ok(())
    }
}

impl App {
    pub async fn ring(&self) -> Result<Uuid> {
        let call = Uuid::new_v4();
        self.provider.report_incoming(call, CallUpdate::default()).await?;
        Ok(call)
    }

    /// Waits with the next thing that it is asked.
    pub fn takes_its_time(&self) {
        *self.hands.slow.lock().unwrap() = true;
    }

    pub async fn is_at_work(&self) -> Result<()> {
        in_time(self.hands.at_work.notified()).await
    }

    pub fn goes_on(&self) {
        self.hands.go_on.notify_one();
    }

    pub fn done(&self) -> Vec<&'static str> {
        self.hands.done.lock().unwrap().clone()
    }

    /// What it did since it forgot last.
    pub fn forgets(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.hands.done.lock().unwrap())
    }

    pub async fn has_done(&self, what: &'static str) -> Result<()> {
        eventually(what, async || self.done().contains(&what).then_some(())).await
    }

    pub async fn is_attached(&self) -> Result<()> {
        eventually("it is registered again", async || self.provider.is_attached().then_some(()))
            .await
    }

    pub async fn is_detached(&self) -> Result<()> {
        eventually("it saw the arbiter go", async || (!self.provider.is_attached()).then_some(()))
            .await
    }

    pub async fn has_audio(&self, call: Uuid) -> Result<()> {
        let heard = async || (*self.hands.audible.lock().unwrap() == [call]).then_some(());
        eventually("its call has the audio", heard).await
    }
}
