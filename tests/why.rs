//! `Manager.Explain` and `callctl why` on a real bus: the whole story of a call, also when it is over and after the
//! arbiter was killed, for its user and for nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "why/causes.rs"]
mod causes;

use std::collections::HashMap;

use anyhow::Result;
use harness::{Arbiter, FakeProvider, Options, Peer, ROOT, Refused, Reply, built};
use serde_json::Value;
use zbus::OwnedVariant;

type Dict = HashMap<String, OwnedVariant>;

const HANDLE: &str = "sip:dormouse@wonderland.example";
const WORDS: &str = "the teapot is full";

/// Alice talks through one app; a second call was answered and its app had something to say. That one is over.
struct Scene {
    alice: Peer,
    phone: FakeProvider,
    chatter: FakeProvider,
    first: String,
    second: String,
    arbiter: Arbiter,
}

impl Scene {
    async fn on(arbiter: Arbiter) -> Result<Scene> {
        let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
        let chatter = FakeProvider::register(&arbiter.bus, "org.example.Chatter").await?;
        let alice = arbiter.bus.connect().await?;
        let first = phone.report_incoming(HANDLE).await?;
        alice.answer(&first.path).await?;
        alice.wait_audio("granted").await?;
        let error = "org.callarbiter.Calls1.Error.ActionFailed";
        chatter.script("PerformAnswer", Reply::Fail(error, WORDS));
        let second = chatter.report_incoming(HANDLE).await?;
        alice.answer(&second.path).await.unwrap_err();
        Ok(Scene { alice, phone, chatter, first: first.uuid, second: second.uuid, arbiter })
    }

    async fn callctl(&self, arguments: &[&str]) -> Result<String> {
        callctl(&self.arbiter, arguments).await
    }
}

async fn callctl(arbiter: &Arbiter, arguments: &[&str]) -> Result<String> {
    let output = tokio::process::Command::new(built("callctl", "-p callctl")?)
        .args(["--bus", &arbiter.bus.address()])
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

async fn explain(peer: &Peer, call: &str) -> Result<Vec<Dict>, Refused> {
    peer.call(ROOT, "Manager", "Explain", &(call, Options::new())).await
}

fn text(cause: &Dict, key: &str) -> String {
    cause.get(key).and_then(|v| String::try_from(v.try_clone().ok()?).ok()).unwrap_or_default()
}

fn names(causes: &[Dict]) -> Vec<String> {
    causes.iter().map(|cause| text(cause, "cause")).collect()
}

#[tokio::test]
async fn the_story_of_a_call_is_told_live_over_and_after_a_crash() -> Result<()> {
    let mut scene = Scene::on(Arbiter::on_system_bus().await?).await?;
    let live = explain(&scene.alice, &scene.first).await?;
    let told = names(&live).join(" ");
    assert!(told.starts_with("reported authorization requested became asked fulfilled"), "{told}");
    assert!(told.contains("audio-granted"), "{told}");
    let room = live.iter().find(|cause| text(cause, "cause") == "room-for").unwrap();
    assert_eq!(text(room, "call"), scene.second, "which call it made room for");
    let over = explain(&scene.alice, &scene.second).await?;
    let failed = over.iter().find(|cause| text(cause, "cause") == "failed").unwrap();
    assert_eq!(text(failed, "error"), "org.callarbiter.Calls1.Error.ActionFailed");
    assert!(text(failed, "message").contains(WORDS));
    assert_eq!(text(over.last().unwrap(), "cause"), "ended");
    let by_beginning = explain(&scene.alice, &scene.second[..8]).await?;
    assert_eq!(by_beginning, over);
    assert_eq!(explain(&scene.alice, "").await?, over, "the newest one");

    scene.arbiter.crash_and_restart().await?;
    assert_eq!(explain(&scene.alice, &scene.second).await?, over, "as it was before");
    let again = explain(&scene.alice, &scene.first).await?;
    assert_eq!(again[..live.len()], live[..]);
    assert!(names(&again).contains(&"arbiter-restarted".to_owned()));
    Ok(())
}

#[tokio::test]
async fn it_is_told_to_its_user_and_logged_for_nobody() -> Result<()> {
    let scene = Scene::on(Arbiter::on_system_bus().await?).await?;
    let bob = scene.arbiter.bus.connect_as("bob").await?;
    for call in [&scene.first, &scene.second, ""] {
        let refused = explain(&bob, call).await.unwrap_err();
        assert_eq!(refused.short(), "UnknownCall", "{call}");
    }
    for (name, error) in [
        ("33333333-3333-4333-8333-333333333333", "UnknownCall"),
        ("no name", "InvalidArgument"),
        ("abc", "InvalidArgument"),
        ("/org/callarbiter/Calls1/group/1", "InvalidArgument"),
    ] {
        let refused = explain(&scene.alice, name).await.unwrap_err();
        assert_eq!(refused.short(), error, "{name}");
    }
    let causes = format!("{:?}", explain(&scene.alice, &scene.second).await?);
    assert!(!causes.contains("dormouse"), "a chain says what happened, not to whom");
    scene.arbiter.assert_no_personal_data(&["dormouse", WORDS]);
    drop((scene.phone, scene.chatter));
    Ok(())
}

#[tokio::test]
async fn callctl_tells_it_in_sentences_and_as_json() -> Result<()> {
    let scene = Scene::on(Arbiter::on_session_bus().await?).await?;
    let text = scene.callctl(&["why", &scene.second[..8]]).await?;
    for sentence in [
        "its app reported it as ringing",
        "a program of the user asked to answer it",
        "its app was asked to answer it",
        "its app could not answer it (ActionFailed): the provider said: the teapot is full",
        "it ended: failed",
    ] {
        assert!(text.contains(sentence), "{sentence}\n{text}");
    }
    let text = scene.callctl(&["why", &scene.first]).await?;
    let room = format!("it is to make room for call {}", &scene.second[..8]);
    assert!(text.contains(&room), "{text}");
    let json: Value = serde_json::from_str(&scene.callctl(&["--json", "why"]).await?)?;
    let causes = json["causes"].as_array().unwrap();
    assert_eq!(causes[0]["cause"], "reported");
    assert_eq!(causes.last().unwrap()["reason"], "failed");
    assert!(causes.iter().all(|cause| cause["at"].is_u64() && cause["sentence"].is_string()));
    Ok(())
}
