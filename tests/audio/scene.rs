//! A desk with its sound: an app that calls and plays on the right, music on the left, and the agent.

use anyhow::{Context, Result};
use harness::{Peer, Process, ROOT, eventually};

use crate::caller::Caller;
use crate::desk::Desk;
use crate::sound::{Kind, Side, Sound, play};

/// What is left of others.
pub const QUIET: f32 = 0.2;

pub struct Scene {
    pub agent: Process,
    pub music: Process,
    pub phone: Caller,
    pub sound: Sound,
    /// The user's.
    pub chooser: Peer,
    // Its directory has what all of them say.
    pub desk: Desk,
}

impl Scene {
    pub async fn new(kind: Kind) -> Result<Scene> {
        let desk = Desk::new().await?;
        let sound = Sound::start(&desk, kind).await?;
        let music = play(&desk, kind, &[], Side::Left)?;
        let mut phone = Caller::new(&desk, kind, "org.example.Softphone").await?;
        phone.play(&desk, &[], Side::Right)?;
        sound.wait_level("music and phone", 1.0, 1.0).await?;
        let agent = desk.agent("audio").await?;
        let chooser = desk.bus().connect().await?;
        Ok(Scene { desk, chooser, sound, phone, music, agent })
    }

    pub async fn wait(&self, what: &str, left: f32, right: f32) -> Result<()> {
        let heard = self.sound.wait_level(what, left, right).await;
        heard.with_context(|| format!("the agent said {}", self.agent.log()))
    }

    /// Waits until the arbiter shows that others are quiet, or not.
    pub async fn enforced(&self, expected: bool) -> Result<()> {
        let what = format!("Enforced is {expected}");
        let shown = eventually(&what, async || {
            let peer = &self.phone.provider.peer;
            let value = peer.property(ROOT, "AudioSession", "Enforced").await.ok()?;
            (bool::try_from(value).ok()? == expected).then_some(())
        });
        shown.await.with_context(|| format!("the agent said {}", self.agent.log()))
    }

    /// The same of a call's microphone.
    pub async fn mute_enforced(&self, call: &str, expected: bool) -> Result<()> {
        eventually(&format!("MuteEnforced is {expected}"), async || {
            let value =
                self.phone.provider.peer.property(call, "Call", "MuteEnforced").await.ok()?;
            (bool::try_from(value).ok()? == expected).then_some(())
        })
        .await
    }

    /// Another session manager. One that on a loaded machine comes to nothing is replaced, as a service manager would.
    pub async fn manager_again(&mut self) -> Result<()> {
        if self.sound.start_manager(&self.desk).await.is_ok() {
            return Ok(());
        }
        self.sound.kill_manager().await?;
        self.sound.start_manager(&self.desk).await
    }

    /// Another server; music and phone play there, too.
    pub async fn server_again(&mut self) -> Result<()> {
        self.sound.kill().await?;
        self.sound = Sound::start(&self.desk, self.sound.kind).await?;
        self.play_again()?;
        self.phone.play(&self.desk, &[], Side::Right)
    }

    /// The music ends and begins anew.
    pub fn play_again(&mut self) -> Result<()> {
        self.music = play(&self.desk, self.sound.kind, &[], Side::Left)?;
        Ok(())
    }
}
