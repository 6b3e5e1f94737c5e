//! What is quiet, what is silent, and that nothing stays so.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use harness::{Process, ROOT, eventually, is};

use crate::caller::Caller;
use crate::desk::Desk;
use crate::sound::{Kind, Side, Sound, play};

/// What is left of others.
const QUIET: f32 = 0.2;

/// A desk with its sound, an app that calls and plays on the right, music on the left, and the agent.
struct Scene {
    agent: Process,
    music: Process,
    phone: Caller,
    sound: Sound,
    // Its directory has what all of them say.
    desk: Desk,
}

impl Scene {
    async fn new(kind: Kind) -> Result<Scene> {
        let desk = Desk::new().await?;
        let sound = Sound::start(&desk, kind).await?;
        let music = play(&desk, kind, &[], Side::Left)?;
        let mut phone = Caller::new(&desk, kind, "org.example.Softphone").await?;
        phone.play(&desk, &[], Side::Right)?;
        sound.wait_level("music and phone", 1.0, 1.0).await?;
        let agent = desk.agent("audio").await?;
        Ok(Scene { desk, sound, phone, music, agent })
    }

    async fn wait(&self, what: &str, left: f32, right: f32) -> Result<()> {
        let heard = self.sound.wait_level(what, left, right).await;
        heard.with_context(|| format!("the agent said {}", self.agent.log()))
    }

    async fn enforced(&self) -> Result<bool> {
        let value = self.phone.provider.peer.property(ROOT, "AudioSession", "Enforced").await?;
        Ok(bool::try_from(value)?)
    }

    async fn mute_enforced(&self, call: &str, expected: bool) -> Result<()> {
        eventually(&format!("MuteEnforced is {expected}"), async || {
            let value =
                self.phone.provider.peer.property(call, "Call", "MuteEnforced").await.ok()?;
            (bool::try_from(value).ok()? == expected).then_some(())
        })
        .await
    }
}

pub async fn music_is_quiet_in_a_call_and_as_loud_as_before_after_it(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    assert!(scene.enforced().await?);
    // Who only says that it is a call is music as well, and so is what begins now.
    drop(scene.music);
    scene.music = play(&scene.desk, kind, &[("media.role", "Communication")], Side::Left)?;
    scene.wait("new music is quiet", QUIET, 1.0).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("music is loud", 1.0, 1.0).await
}

pub async fn who_is_held_is_not_heard_and_hears_nothing(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let microphone = scene.phone.record(&scene.desk, "phone")?;
    microphone.wait_level("the phone hears its microphone", 1.0).await?;
    let first = scene.phone.talk("sip:one@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    let other = Caller::new(&scene.desk, kind, "org.example.Other").await?;
    let second = other.talk("sip:two@example.org").await?;
    scene.wait("the held app is quiet", QUIET, QUIET).await?;
    microphone.wait_level("the held app hears silence", 0.0).await?;
    // One that it begins now does not help.
    let again = scene.phone.record(&scene.desk, "again")?;
    again.wait_level("its new stream hears silence", 0.0).await?;
    other.provider.peer.end(&second.path).await?;
    scene.wait("the held app is heard", QUIET, 1.0).await?;
    microphone.wait_level("it hears its microphone", 1.0).await?;
    scene.phone.provider.peer.end(&first.path).await?;
    scene.wait("music is loud", 1.0, 1.0).await
}

pub async fn a_muted_call_speaks_into_silence(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let microphone = scene.phone.record(&scene.desk, "phone")?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    microphone.wait_level("it hears its microphone", 1.0).await?;
    let peer = &scene.phone.provider.peer;
    let set = async |muted: bool| peer.call::<_, ()>(&call.path, "Call", "SetMuted", &muted).await;
    set(true).await?;
    scene.mute_enforced(&call.path, true).await?;
    microphone.wait_level("it hears silence", 0.0).await?;
    set(false).await?;
    scene.mute_enforced(&call.path, false).await?;
    microphone.wait_level("it hears its microphone again", 1.0).await
}

pub async fn the_agent_is_killed(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let microphone = scene.phone.record(&scene.desk, "phone")?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    let peer = &scene.phone.provider.peer;
    peer.call::<_, ()>(&call.path, "Call", "SetMuted", &true).await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    microphone.wait_level("the phone hears silence", 0.0).await?;
    scene.agent.signal("KILL")?;
    scene.agent.end().await?;
    // PulseAudio has nothing that ends with a connection: there the next agent does it.
    if kind != Kind::Pulse {
        scene.wait("music is loud", 1.0, 1.0).await?;
        microphone.wait_level("the phone hears its microphone", 1.0).await?;
    }
    peer.end(&call.path).await?;
    scene.agent = scene.desk.agent("audio").await?;
    scene.wait("music is loud", 1.0, 1.0).await?;
    microphone.wait_level("the phone hears its microphone", 1.0).await?;
    // And it serves the next call.
    scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await
}

pub async fn the_agent_ends_in_a_call(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.agent.signal("TERM")?;
    assert!(scene.agent.end().await?.success());
    scene.wait("music is loud", 1.0, 1.0).await
}

pub async fn the_arbiter_is_killed(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.desk.arbiter.crash_and_restart().await?;
    scene.phone.provider.peer.wait_state(&call.path, "active").await?;
    scene.phone.provider.peer.wait_audio("granted").await?;
    scene.wait("music is still quiet", QUIET, 1.0).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("music is loud", 1.0, 1.0).await?;
    // Nobody will ever say that this one ends.
    scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.desk.arbiter.stop("KILL").await?;
    scene.wait("music is loud without an arbiter", 1.0, 1.0).await?;
    // It comes back after all, with the call.
    scene.desk.arbiter.start().await?;
    scene.wait("music is quiet again", QUIET, 1.0).await
}

pub async fn the_session_manager_is_killed(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let microphone = scene.phone.record(&scene.desk, "phone")?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    let peer = &scene.phone.provider.peer;
    peer.call::<_, ()>(&call.path, "Call", "SetMuted", &true).await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.sound.kill_manager().await?;
    scene.wait("nothing plays without WirePlumber", 0.0, 0.0).await?;
    scene.sound.start_manager(&scene.desk).await?;
    scene.wait("music is quiet again", QUIET, 1.0).await?;
    microphone.wait_level("the phone hears silence again", 0.0).await?;
    scene.sound.kill_manager().await?;
    peer.end(&call.path).await?;
    scene.sound.start_manager(&scene.desk).await?;
    scene.wait("music is loud", 1.0, 1.0).await?;
    microphone.wait_level("the phone hears its microphone", 1.0).await
}

pub async fn a_server_that_comes_late_is_used(kind: Kind) -> Result<()> {
    let desk = Desk::new().await?;
    let agent = desk.agent("audio").await?;
    let phone = Caller::new(&desk, kind, "org.example.Softphone").await?;
    let call = phone.talk("sip:rabbit@example.org").await?;
    let peer = &phone.provider.peer;
    peer.wait_audio("granted").await?;
    let enforced = peer.property(ROOT, "AudioSession", "Enforced").await?;
    assert_eq!(bool::try_from(enforced), Ok(false));
    let sound = Sound::start(&desk, kind).await?;
    let _music = play(&desk, kind, &[], Side::Left)?;
    sound.wait_level("music is quiet", QUIET, 0.0).await?;
    peer.end(&call.path).await?;
    sound.wait_level("music is loud", 1.0, 0.0).await?;
    assert_eq!(agent.log().matches("calls go on without audio priority").count(), 1);
    Ok(())
}

pub async fn who_streams_without_the_session_is_named(kind: Kind) -> Result<()> {
    let scene = Scene::new(kind).await?;
    let ears = scene.desk.bus().connect().await?;
    ears.view().await?;
    let first = scene.phone.talk("sip:one@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    let other = Caller::new(&scene.desk, kind, "org.example.Other").await?;
    other.talk("sip:two@example.org").await?;
    let notice = ears.expect("a notice", |message| is(message, "Manager", "Notice")).await?;
    let (what, call, _, _): (String, zbus::OwnedObjectPath, String, u64) =
        notice.body().deserialize()?;
    assert_eq!((what.as_str(), call.as_str()), ("streaming-without-audio", first.path.as_str()));
    Ok(())
}

/// Prints the median; what the loudspeaker's meter takes is in it.
pub async fn from_the_grant_to_quiet(kind: Kind) -> Result<()> {
    let scene = Scene::new(kind).await?;
    let mut times = vec![];
    for _ in 0..9 {
        let call = scene.phone.talk("sip:rabbit@example.org").await?;
        let granted = scene.phone.provider.wait_asked("AudioActivated", times.len() + 1).await;
        granted?;
        let begun = Instant::now();
        scene.sound.wait_quiet(QUIET).await?;
        times.push(begun.elapsed());
        scene.phone.provider.peer.end(&call.path).await?;
        scene.wait("music is loud", 1.0, 1.0).await?;
    }
    times.sort();
    println!("{kind:?}: from the grant to quiet, median {:?} of {times:?}", times[4]);
    assert!(times[4] < Duration::from_millis(500), "{times:?}");
    Ok(())
}

pub async fn without_a_call_the_agent_sleeps(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("music is loud", 1.0, 1.0).await?;
    let threads = || Ok::<_, anyhow::Error>(threads_of(scene.agent.pid())?.len());
    eventually("the thread for PipeWire ends", async || (threads().ok()? == 1).then_some(()))
        .await?;
    // Streams come and go; it hears nothing of them.
    let before = switches(scene.agent.pid())?;
    for _ in 0..3 {
        drop(scene.music);
        scene.sound.wait_level("music stops", 0.0, 1.0).await?;
        scene.music = play(&scene.desk, kind, &[], Side::Left)?;
        scene.sound.wait_level("music plays", 1.0, 1.0).await?;
    }
    assert_eq!(switches(scene.agent.pid())?, before);
    Ok(())
}

fn threads_of(pid: u32) -> Result<Vec<String>> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))?;
    threads.map(|thread| Ok(thread?.file_name().to_string_lossy().into_owned())).collect()
}

/// How often a process has gone to sleep so far.
fn switches(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let Some(line) = line else { bail!("/proc/{pid}/status says nothing of switches") };
    Ok(line.trim().parse()?)
}
