//! Others keep quiet before a call gets the audio, over a real bus: what an agent is told and when, what its
//! answer does, and what happens without it. The agent is the test's own; what the one of a desktop does with a
//! sound server is tried elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use harness::{
    Arbiter, Bus, FakeAgent, FakeProvider, Options, Peer, ROOT, Refused, Reply, eventually, options,
};
use zbus::{ObjectPath, OwnedObjectPath, OwnedVariant};

type Dict = HashMap<String, OwnedVariant>;

/// Everybody may provide calls, and any process of the user may be an agent.
const OPEN: &str = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n";
const PHONE: &str = "org.example.Phone";

struct Desk {
    agent: FakeAgent,
    phone: FakeProvider,
    user: Peer,
    arbiter: Arbiter,
}

/// One `ApplyAudio`.
struct Wanted {
    request: String,
    generation: u64,
    apps: Vec<App>,
}

/// Provider, app id, process, and whether it has the audio and is to be silent.
type App = (String, String, u32, bool, bool);

fn app(entry: &Dict) -> Result<App> {
    let value = |key: &str| entry[key].try_clone();
    let provider = OwnedObjectPath::try_from(value("provider")?)?;
    let (id, pid) = (String::try_from(value("app-id")?)?, u32::try_from(value("pid")?)?);
    let (audio, silence) = (bool::try_from(value("audio")?)?, bool::try_from(value("silence")?)?);
    Ok((provider.to_string(), id, pid, audio, silence))
}

impl Desk {
    async fn set() -> Result<Desk> {
        let arbiter = Arbiter::on(Bus::session().await?, OPEN).await?;
        let agent = FakeAgent::with(&arbiter.bus, &["audio"]).await?;
        let phone = FakeProvider::register(&arbiter.bus, PHONE).await?;
        let user = arbiter.bus.connect().await?;
        Ok(Desk { agent, phone, user, arbiter })
    }

    /// The `nth` picture that the agent was given; the first is that of its registration.
    async fn wanted(&self, nth: usize) -> Result<Wanted> {
        self.agent.asked("ApplyAudio", nth).await?;
        let messages = self.agent.peer.received();
        let pictures = messages.iter().filter(|message| {
            message.header().member().is_some_and(|member| member.as_str() == "ApplyAudio")
        });
        let body = pictures.collect::<Vec<_>>()[nth - 1].body();
        let (request, generation, apps, rest): (String, u64, Vec<Dict>, Dict) =
            body.deserialize()?;
        assert!(u32::try_from(rest["deadline"].try_clone()?)? <= 500);
        let apps = apps.iter().map(app).collect::<Result<_>>()?;
        Ok(Wanted { request, generation, apps })
    }

    async fn did(&self, wanted: &Wanted, muted: &[&str]) -> Result<(), Refused> {
        let path = |path: &&str| ObjectPath::try_from((*path).to_owned()).unwrap();
        let muted: Vec<ObjectPath<'static>> = muted.iter().map(path).collect();
        let answer = options([("enforced", true.into()), ("muted", muted.into())]);
        let reply = (wanted.request.as_str(), answer);
        self.agent.peer.call(ROOT, "Manager", "AgentReply", &reply).await
    }

    async fn enforced(&self) -> Result<bool> {
        Ok(bool::try_from(self.user.property(ROOT, "AudioSession", "Enforced").await?)?)
    }

    async fn until_enforced(&self, is: bool) -> Result<()> {
        let read =
            async || self.enforced().await.is_ok_and(|enforced| enforced == is).then_some(());
        eventually(&format!("Enforced is {is}"), read).await
    }

    fn activations(&self) -> usize {
        self.phone.asked().iter().filter(|asked| asked.member == "AudioActivated").count()
    }
}

#[tokio::test]
async fn the_agent_makes_others_quiet_before_the_call_has_the_audio() -> Result<()> {
    let desk = Desk::set().await?;
    let before = desk.wanted(1).await?;
    assert_eq!((before.generation, before.apps.len()), (0, 0), "whatever was before is undone");
    desk.did(&before, &[]).await?;
    let other = FakeProvider::register(&desk.arbiter.bus, "org.example.Other").await?;
    other.report_incoming("tel:2").await?;
    let call = desk.phone.report_incoming("tel:1").await?;
    desk.user.answer(&call.path).await?;
    let wanted = desk.wanted(2).await?;
    assert_eq!((wanted.generation, desk.activations()), (1, 0), "first the others");
    let app = |app: &FakeProvider, id: &str, audio| {
        (app.path.clone(), id.to_owned(), std::process::id(), audio, false)
    };
    let expected = [app(&desk.phone, PHONE, true), app(&other, "org.example.Other", false)];
    assert_eq!(wanted.apps, expected);
    desk.did(&wanted, &[&other.path]).await?;
    desk.phone.wait_asked("AudioActivated", 1).await?;
    desk.user.wait_audio("granted").await?;
    assert!(desk.enforced().await?);

    let mute = (call.path.as_str(), true);
    desk.user.call::<_, ()>(mute.0, "Call", "SetMuted", &(mute.1,)).await?;
    let muted = desk.wanted(3).await?;
    assert!(muted.apps[0].4 && desk.enforced().await?);
    desk.did(&muted, &[&desk.phone.path]).await?;
    assert!(bool::try_from(desk.user.property(&call.path, "Call", "MuteEnforced").await?)?);

    let spoke = (ObjectPath::try_from(other.path.as_str())?, "playback");
    desk.user.view().await?;
    desk.agent.peer.call::<_, ()>(ROOT, "Manager", "ReportViolation", &spoke).await?;
    desk.user
        .expect("the user is told", |message| {
            let body = message.body();
            let kind = body.deserialize::<(String, OwnedObjectPath, String, u64)>();
            kind.is_ok_and(|(kind, ..)| kind == "streaming-without-audio")
        })
        .await?;

    desk.user.end(&call.path).await?;
    desk.user.wait_audio("idle").await?;
    assert_eq!(desk.wanted(4).await?.apps, [], "everything is as it was before");
    assert!(!desk.enforced().await?);
    Ok(())
}

#[tokio::test]
async fn an_agent_that_says_nothing_is_waited_for_half_a_second() -> Result<()> {
    let desk = Desk::set().await?;
    let call = desk.phone.report_incoming("tel:1").await?;
    let answered = Instant::now();
    desk.user.answer(&call.path).await?;
    let wanted = desk.wanted(2).await?;
    desk.phone.wait_asked("AudioActivated", 1).await?;
    assert!(answered.elapsed() >= Duration::from_millis(500), "{:?}", answered.elapsed());
    assert!(!desk.enforced().await?);
    desk.did(&wanted, &[]).await?;
    assert!(desk.enforced().await?, "late, and true");
    Ok(())
}

#[tokio::test]
async fn a_killed_agent_takes_its_word_along_and_calls_go_on() -> Result<()> {
    let mut desk = Desk::set().await?;
    let call = desk.phone.report_incoming("tel:1").await?;
    desk.user.answer(&call.path).await?;
    desk.did(&desk.wanted(2).await?, &[]).await?;
    desk.user.wait_audio("granted").await?;
    assert!(desk.enforced().await?);
    let shell = FakeAgent { peer: desk.arbiter.bus.connect().await? };
    drop(std::mem::replace(&mut desk.agent, shell));
    desk.until_enforced(false).await?;
    assert_eq!(desk.user.state(&call.path).await?, "active");
    desk.user.wait_audio("granted").await?;

    desk.agent.take(&["audio"]).await?;
    let again = desk.wanted(1).await?;
    assert!(again.apps[0].3, "in mid-call");
    desk.did(&again, &[]).await?;
    assert!(desk.enforced().await?);
    assert_eq!(desk.activations(), 1);
    Ok(())
}

#[tokio::test]
async fn the_word_survives_the_arbiter_and_what_was_not_answered_comes_again() -> Result<()> {
    let mut desk = Desk::set().await?;
    desk.did(&desk.wanted(1).await?, &[]).await?;
    desk.phone.script("AudioActivated", Reply::Never);
    let call = desk.phone.report_incoming("tel:1").await?;
    desk.user.answer(&call.path).await?;
    let wanted = desk.wanted(2).await?;
    desk.arbiter.crash_and_restart().await?;
    let again = desk.wanted(3).await?;
    assert_eq!(again.request, wanted.request);
    desk.phone.script("AudioActivated", Reply::Fulfil);
    desk.did(&again, &[]).await?;
    desk.user.wait_audio("granted").await?;
    desk.until_enforced(true).await?;

    desk.arbiter.crash_and_restart().await?;
    desk.user.wait_audio("granted").await?;
    assert!(desk.enforced().await?);
    assert_eq!(desk.agent.errands().len(), 3, "it was answered before");

    desk.arbiter.stop("KILL").await?;
    let shell = FakeAgent { peer: desk.arbiter.bus.connect().await? };
    drop(std::mem::replace(&mut desk.agent, shell));
    desk.arbiter.start().await?;
    desk.until_enforced(false).await?;
    assert_eq!(desk.user.state(&call.path).await?, "active");
    Ok(())
}

#[tokio::test]
async fn the_user_chooses_where_the_sound_goes() -> Result<()> {
    let desk = Desk::set().await?;
    let choose = |id: &'static str| {
        let user = &desk.user;
        async move { user.call::<_, ()>(ROOT, "AudioSession", "SelectEndpoint", &(id,)).await }
    };
    assert_eq!(choose("two").await.unwrap_err().short(), "InvalidArgument");
    let set = async |peer: &Peer, current: &str| {
        let endpoint = |id: &'static str, kind: &'static str| -> Options {
            options([("id", id.into()), ("name", "Ada's".into()), ("kind", kind.into())])
        };
        let all = (vec![endpoint("one", "speaker"), endpoint("two", "bluetooth")], current);
        peer.call::<_, ()>(ROOT, "Manager", "SetEndpoints", &all).await
    };
    let current = async || {
        let value = desk.user.property(ROOT, "AudioSession", "Endpoint").await?;
        anyhow::Ok(String::try_from(value)?)
    };
    assert_eq!(set(&desk.user, "one").await.unwrap_err().short(), "AccessDenied");
    assert_eq!(set(&desk.agent.peer, "three").await.unwrap_err().short(), "InvalidArgument");
    set(&desk.agent.peer, "one").await?;
    let listed = desk.user.property(ROOT, "AudioSession", "Endpoints").await?;
    let listed = <Vec<Dict>>::try_from(listed)?;
    let text = |entry: &Dict, key: &str| String::try_from(entry[key].try_clone().unwrap()).unwrap();
    let shown: Vec<_> =
        listed.iter().map(|e| ["id", "name", "kind"].map(|key| text(e, key))).collect();
    assert_eq!(shown, [["one", "Ada's", "speaker"], ["two", "Ada's", "bluetooth"]]);
    assert_eq!(current().await?, "one");

    let (chosen, asked) = tokio::join!(choose("two"), async {
        let asked = desk.agent.asked("SelectEndpoint", 1).await?;
        assert_eq!(asked.text(1), "two");
        set(&desk.agent.peer, "two").await?;
        desk.agent.answer(&asked, []).await?;
        anyhow::Ok(())
    });
    asked?;
    chosen?;
    assert_eq!(current().await?, "two");
    let (chosen, failed) = tokio::join!(choose("one"), async {
        let asked = desk.agent.asked("SelectEndpoint", 2).await?;
        let why = [("error", "org.example.Gone".into()), ("message", "it was pulled out".into())];
        desk.agent.answer(&asked, why).await?;
        anyhow::Ok(())
    });
    failed?;
    let why = chosen.unwrap_err();
    assert_eq!(why.short(), "ActionFailed");
    assert!(why.to_string().contains("pulled out"), "{why}");
    let app = desk.phone.peer.call::<_, ()>(ROOT, "AudioSession", "SelectEndpoint", &("one",));
    assert_eq!(app.await.unwrap_err().short(), "AccessDenied");
    Ok(())
}
