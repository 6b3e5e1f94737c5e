//! What is killed in the middle of a call: nothing stays quiet, silent or elsewhere after the call, and while the
//! call goes on it has priority again. What cannot be so is said.

use anyhow::{Context, Result};
use harness::ROOT;

use crate::caller::Caller;
use crate::desk::Desk;
use crate::scene::{QUIET, Scene};
use crate::sound::{Kind, Side, Sound, play};

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
    // And it serves the next call. In the middle of that one the next agent goes on where it was.
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.agent.signal("KILL")?;
    scene.agent.end().await?;
    scene.enforced(false).await?;
    scene.agent = scene.desk.agent("audio").await?;
    scene.wait("music is quiet again", QUIET, 1.0).await?;
    scene.enforced(true).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("music is loud", 1.0, 1.0).await
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
    scene.enforced(true).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("music is loud", 1.0, 1.0).await?;
    // Nobody will ever say that this one ends.
    scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.desk.arbiter.stop("KILL").await?;
    scene.wait("music is loud without an arbiter", 1.0, 1.0).await?;
    // It comes back after all, with the call.
    scene.desk.arbiter.start().await?;
    scene.wait("music is quiet again", QUIET, 1.0).await?;
    scene.enforced(true).await
}

pub async fn the_session_manager_is_killed(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let microphone = scene.phone.record(&scene.desk, "phone")?;
    microphone.wait_level("the phone hears its microphone", 1.0).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    let peer = &scene.phone.provider.peer;
    peer.call::<_, ()>(&call.path, "Call", "SetMuted", &true).await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.enforced(true).await?;
    scene.sound.kill_manager().await?;
    scene.wait("nothing plays without WirePlumber", 0.0, 0.0).await?;
    scene.enforced(false).await?;
    scene.manager_again().await?;
    scene.wait("music is quiet again", QUIET, 1.0).await?;
    scene.enforced(true).await?;
    microphone.wait_level("the phone hears silence again", 0.0).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("music is loud", 1.0, 1.0).await?;
    microphone.wait_level("the phone hears its microphone", 1.0).await
}

pub async fn a_call_ends_without_the_session_manager(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let microphone = scene.phone.record(&scene.desk, "phone")?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    let peer = &scene.phone.provider.peer;
    peer.call::<_, ()>(&call.path, "Call", "SetMuted", &true).await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.sound.kill_manager().await?;
    peer.end(&call.path).await?;
    scene.manager_again().await?;
    scene.wait("music is loud", 1.0, 1.0).await?;
    microphone.wait_level("the phone hears its microphone", 1.0).await
}

/// In whatever order: what is left alone is as nobody had ever called, and who comes back goes on.
pub async fn all_three_are_killed(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let microphone = scene.phone.record(&scene.desk, "phone")?;
    for order in [["agent", "arbiter", "manager"], ["manager", "agent", "arbiter"]] {
        let call = scene.phone.talk("sip:rabbit@example.org").await?;
        let muted = scene.phone.provider.peer.call(&call.path, "Call", "SetMuted", &true);
        let () = muted.await?;
        scene.wait("music is quiet", QUIET, 1.0).await?;
        microphone.wait_level("the phone hears silence", 0.0).await?;
        for killed in order {
            match killed {
                "agent" => {
                    scene.agent.signal("KILL")?;
                    scene.agent.end().await?;
                }
                "arbiter" => scene.desk.arbiter.stop("KILL").await?,
                _ => scene.sound.kill_manager().await?,
            }
        }
        scene.manager_again().await?;
        scene.wait("music is loud, and nobody made it so", 1.0, 1.0).await?;
        microphone.wait_level("the phone hears its microphone", 1.0).await?;

        scene.desk.arbiter.start().await?;
        scene.agent = scene.desk.agent("audio").await?;
        scene.wait("music is quiet again", QUIET, 1.0).await?;
        scene.enforced(true).await?;
        microphone.wait_level("the phone hears silence again", 0.0).await?;
        scene.phone.provider.peer.end(&call.path).await?;
        scene.wait("music is loud", 1.0, 1.0).await?;
        microphone.wait_level("the phone hears its microphone", 1.0).await?;
    }
    Ok(())
}

/// WirePlumber 0.4 brings no sound back, agent or not, before PipeWire is started again, too.
pub async fn the_session_manager_is_killed_and_all_is_started_again(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.enforced(true).await?;
    scene.sound.kill_manager().await?;
    scene.wait("nothing plays without WirePlumber", 0.0, 0.0).await?;
    scene.enforced(false).await?;
    scene.server_again().await?;
    scene.wait("music is quiet again", QUIET, 1.0).await?;
    scene.enforced(true).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("music is loud", 1.0, 1.0).await
}

pub async fn the_server_is_killed(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    scene.wait("music is quiet", QUIET, 1.0).await?;
    scene.enforced(true).await?;
    scene.sound.kill().await?;
    scene.enforced(false).await?;
    scene.server_again().await?;
    scene.wait("music is quiet again", QUIET, 1.0).await?;
    scene.enforced(true).await?;
    scene.phone.provider.peer.end(&call.path).await?;
    scene.wait("music is loud", 1.0, 1.0).await?;
    // What the server keeps for an app's next stream is what it was.
    scene.play_again()?;
    scene.wait("new music is loud", 1.0, 1.0).await?;
    let said = scene.agent.log();
    assert_eq!(said.matches("audio priority on ").count(), 1, "{said}");
    Ok(())
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
    sound.wait_level("music is quiet", QUIET, 0.0).await.with_context(|| agent.log())?;
    peer.end(&call.path).await?;
    sound.wait_level("music is loud", 1.0, 0.0).await?;
    assert_eq!(agent.log().matches("calls go on without audio priority").count(), 1);
    Ok(())
}

/// An app that lost the session plays where the session manager has no say.
pub async fn a_stream_that_cannot_be_quiet_is_said(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    scene.phone.play_unlinked(&scene.desk, "stubborn", Side::Right)?;
    scene.phone.talk("sip:one@example.org").await?;
    scene.enforced(true).await?;
    let other = Caller::new(&scene.desk, kind, "org.example.Other").await?;
    other.talk("sip:two@example.org").await?;
    scene.wait("the held app is quiet", QUIET, QUIET).await?;
    scene.enforced(true).await?;
    scene.sound.link("stubborn", true).await?;
    scene.enforced(false).await?;
    scene.sound.link("stubborn", false).await?;
    scene.enforced(true).await
}

/// PulseAudio lets the user have the last word.
pub async fn a_microphone_that_is_turned_on_again_is_said(kind: Kind) -> Result<()> {
    let mut scene = Scene::new(kind).await?;
    let microphone = scene.phone.record(&scene.desk, "phone")?;
    microphone.wait_level("it hears its microphone", 1.0).await?;
    let call = scene.phone.talk("sip:rabbit@example.org").await?;
    let peer = &scene.phone.provider.peer;
    peer.call::<_, ()>(&call.path, "Call", "SetMuted", &true).await?;
    scene.mute_enforced(&call.path, true).await?;
    microphone.wait_level("it hears silence", 0.0).await?;
    scene.sound.mute_recordings(false)?;
    scene.mute_enforced(&call.path, false).await?;
    scene.sound.mute_recordings(true)?;
    scene.mute_enforced(&call.path, true).await
}
