//! Where calls are heard: at the output that the user chose or prefers, measured there.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};
use harness::{ROOT, Refused, eventually};
use zbus::OwnedVariant;

use crate::caller::Caller;
use crate::desk::Desk;
use crate::scene::{QUIET, Scene};
use crate::sound::{Kind, Recording, Side, Sound, play};

pub async fn a_call_is_heard_where_the_user_chose(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.heard_at("speakers").await?;
    let ear = scene.sound.plug(&scene.desk).await?;
    scene.lists("headset", "headset").await?;
    scene.select("headset").await?;
    assert_eq!(scene.endpoint().await?, "headset", "it was said before the reply");
    scene.hears(&ear, "the call is in the headset", 0.0, 1.0).await?;
    scene.wait("the music is where it was", QUIET, 0.0).await?;
    let refused = scene.select("elsewhere").await.unwrap_err();
    assert!(refused.to_string().contains("InvalidArgument"), "{refused}");

    // Another one has the audio: this app is quiet where it was.
    let other = Caller::new(&scene.desk, kind, "org.example.Other").await?;
    let second = other.talk("sip:two@example.org").await?;
    scene.wait("the held app is quiet", QUIET, QUIET).await?;
    ear.wait_level("nothing is in the headset", 0.0).await?;
    other.provider.peer.end(&second.path).await?;
    scene.hears(&ear, "the call is in the headset again", 0.0, 1.0).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("all is where it was", 1.0, 1.0).await?;
    ear.wait_level("nothing is in the headset", 0.0).await
}

pub async fn the_choice_is_there_for_the_next_call_and_agent(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let ear = scene.sound.plug(&scene.desk).await?;
    // Without a call it is a wish for the next one.
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.lists("headset", "headset").await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.select("headset").await?;
    scene.wait("all is where it was", 1.0, 1.0).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.hears(&ear, "the call is in the headset", 0.0, 1.0).await?;
    scene.agent.signal("KILL")?;
    scene.agent.end().await?;
    // PulseAudio has nothing that ends with a connection: there the next agent does it.
    if kind != Kind::Pulse {
        scene.wait("all is where it was", 1.0, 1.0).await?;
    }
    scene.agent = scene.desk.agent("audio").await?;
    scene.hears(&ear, "the next agent knows", 0.0, 1.0).await?;
    scene.wait("and music is quiet", QUIET, 0.0).await?;
    scene.agent.signal("KILL")?;
    scene.agent.end().await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.agent = scene.desk.agent("audio").await?;
    scene.wait("all is where it was", 1.0, 1.0).await?;
    ear.wait_level("nothing is in the headset", 0.0).await
}

pub async fn an_output_that_is_pulled_out_in_a_call(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let ear = scene.sound.plug(&scene.desk).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.lists("headset", "headset").await?;
    scene.select("headset").await?;
    scene.hears(&ear, "the call is in the headset", 0.0, 1.0).await?;
    drop(ear);
    scene.sound.unplug()?;
    scene.heard_at("speakers").await?;
    scene.wait("it is heard again", QUIET, 1.0).await?;
    let ear = scene.sound.plug(&scene.desk).await?;
    scene.heard_at("headset").await?;
    scene.hears(&ear, "the call is in the headset again", 0.0, 1.0).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("all is where it was", 1.0, 1.0).await
}

/// Whoever talks into a headset may want to hear it ring there, too, and that somebody else waits.
pub async fn it_rings_and_is_heard_where_the_user_prefers(kind: Kind) -> Result<()> {
    let desk = Desk::new().await?;
    let mut sound = Sound::start(&desk, kind).await?;
    let _compatible = if kind == Kind::Old { Some(sound.speak_pulse(&desk).await?) } else { None };
    let wishes = desk.home().join(".config/callarbiter");
    fs::create_dir_all(&wishes)?;
    let order = "[audio]\noutputs = [\"bluetooth\", \"headset\"]\nring = [\"headset\"]\n";
    fs::write(wishes.join("agent.toml"), order)?;
    let ear = sound.plug(&desk).await?;
    let _music = play(&desk, kind, &[], Side::Left)?;
    sound.wait_level("music", 1.0, 0.0).await?;
    let agent = desk.agent("audio,ring").await?;
    let mut phone = Caller::new(&desk, kind, "org.example.Softphone").await?;
    phone.play(&desk, &[], Side::Right)?;
    let call = phone.provider.report_incoming("sip:rabbit@example.org").await?;
    let sounds = async || (ear.level().ok()?[0] > 0.005).then_some(());
    let rings = eventually("it rings in the headset", sounds).await;
    rings.with_context(|| format!("the agent said {}", agent.log()))?;
    phone.provider.peer.answer(&call.path).await?;
    ear.wait_levels("the call is in the headset, the ringing over", 0.0, 1.0).await?;
    sound.wait_level("music is quiet", QUIET, 0.0).await?;
    let other = Caller::new(&desk, kind, "org.example.Other").await?;
    let waiting = other.provider.report_incoming("sip:two@example.org").await?;
    eventually("somebody waits, as the headset says", sounds).await?;
    sound.wait_level("the loudspeaker does not", QUIET, 0.0).await?;
    other.provider.report_ended(&waiting.uuid, "unanswered").await?;
    phone.provider.peer.end(&call.path).await?;
    sound.wait_level("all is where it was", 1.0, 1.0).await
}

impl Scene {
    async fn hears(&self, ear: &Recording, what: &str, left: f32, right: f32) -> Result<()> {
        let heard = ear.wait_levels(what, left, right).await;
        heard
            .with_context(|| format!("{}; the agent said {}", self.sound.links(), self.agent.log()))
    }

    async fn select(&self, id: &str) -> Result<(), Refused> {
        self.chooser.call(ROOT, "AudioSession", "SelectEndpoint", &(id,)).await
    }

    async fn endpoint(&self) -> Result<String> {
        let endpoint = self.chooser.property(ROOT, "AudioSession", "Endpoint").await?;
        Ok(String::try_from(endpoint)?)
    }

    /// Waits until the arbiter says that calls are heard there.
    async fn heard_at(&self, id: &str) -> Result<()> {
        let what = format!("Endpoint is {id}");
        let said = eventually(&what, async || (self.endpoint().await.ok()? == id).then_some(()));
        said.await.with_context(|| format!("the agent said {}", self.agent.log()))
    }

    /// Waits until the arbiter lists it.
    async fn lists(&self, id: &str, kind: &str) -> Result<()> {
        let what = format!("{id} is listed");
        let said = eventually(&what, async || {
            let listed = self.chooser.property(ROOT, "AudioSession", "Endpoints").await.ok()?;
            let listed = Vec::<HashMap<String, OwnedVariant>>::try_from(listed).ok()?;
            let text = |of: &HashMap<String, OwnedVariant>, key| {
                String::try_from(of.get(key)?.try_clone().ok()?).ok()
            };
            let fits = |one: &&HashMap<String, OwnedVariant>| {
                text(one, "id").as_deref() == Some(id) && text(one, "kind").as_deref() == Some(kind)
            };
            listed.iter().find(fits).map(drop)
        });
        said.await.with_context(|| format!("the agent said {}", self.agent.log()))
    }
}
