//! What is quiet, what is silent, who is named, and how soon.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use harness::{eventually, is};

use crate::caller::Caller;
use crate::scene::{QUIET, Scene};
use crate::sound::{Kind, Side, play};

pub async fn music_is_quiet_in_a_call_and_as_loud_as_before_after_it(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.enforced(true).await?;
    // Who only says that it is a call is music as well, and so is what begins now.
    drop(scene.music);
    scene.sound.wait_level("music stops", 0.0, 1.0).await?;
    scene.music = play(&scene.desk, kind, &[("media.role", "Communication")], Side::Left)?;
    scene.wait("new music is quiet", QUIET, 1.0).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("music is loud", 1.0, 1.0).await
}

/// The session manager is still linking it where it was sent when it is sent back.
pub async fn music_that_begins_when_a_call_ends_is_heard(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    for _ in 0..6 {
        let call = scene.phone.talk("sip:rabbit@example.org").await?;
        scene.wait("music is quiet", QUIET, 1.0).await?;
        drop(scene.music);
        scene.sound.wait_level("music stops", 0.0, 1.0).await?;
        let moved = |log: String| log.matches("command=Target").count();
        let before = moved(scene.agent.log());
        scene.music = play(&scene.desk, kind, &[], Side::Left)?;
        eventually("it is sent away", async || (moved(scene.agent.log()) > before).then_some(()))
            .await?;
        scene.phone.provider.peer.end(&call.path).await?;
        scene.wait("music is loud", 1.0, 1.0).await?;
    }
    Ok(())
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
