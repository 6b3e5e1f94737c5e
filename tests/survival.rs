//! Calls survive the daemon: killed at some moment and started again, everybody finds what was there before,
//! and what was under way goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use anyhow::Result;
use harness::{
    ALLOW, Arbiter, Asked, Bus, Daemon, FakeProvider, Options, Peer, ROOT, Reply, View, action,
    eventually, is, options,
};
use uuid::Uuid;
use zbus::{Message, OwnedObjectPath, OwnedVariant};

const NO_REPLY: &str = "org.freedesktop.DBus.Error.NoReply";

#[tokio::test]
async fn a_ringing_call_rings_on() -> Result<()> {
    let mut desk = Desk::start().await?;
    let call = desk.phone.report_incoming("sip:rabbit@example.org").await?;
    desk.restart("KILL").await?;

    let reconcile = desk.phone.wait_asked("Reconcile", 1).await?;
    assert_eq!(desk.stated(&reconcile, &call.uuid), "ringing");
    desk.nothing_changed().await?;
    // What the provider had is still its own, and works.
    assert_eq!(desk.phone.report_incoming_call(&call.uuid, &Options::new()).await?, call.path);
    desk.user.answer(&call.path).await?;
    assert_eq!(desk.user.state(&call.path).await?, "active");
    desk.user.wait_audio("granted").await?;
    desk.arbiter.assert_no_personal_data(&["rabbit"]);
    Ok(())
}

#[tokio::test]
async fn calls_keep_their_audio_and_what_holds_them() -> Result<()> {
    let mut desk = Desk::start().await?;
    let other = FakeProvider::register(&desk.arbiter.bus, "org.example.Other").await?;
    let first = desk.phone.report_incoming("sip:rabbit@example.org").await?;
    desk.user.answer(&first.path).await?;
    let second = other.report_incoming("sip:hatter@example.org").await?;
    desk.user.answer(&second.path).await?;
    desk.user.wait_audio("granted").await?;
    desk.user.call::<_, ()>(&second.path, "Call", "SetMuted", &true).await?;
    let audio = desk.audio().await?;
    for signal in ["KILL", "TERM", "KILL"] {
        desk.restart(signal).await?;
        desk.nothing_changed().await?;
        assert_eq!(desk.user.state(&second.path).await?, "active", "SIG{signal}");
        assert_eq!(desk.audio().await?, audio, "SIG{signal}");
    }
    let resets = |asked: &[Asked]| asked.iter().filter(|asked| asked.member == "Reset").count();
    assert_eq!(resets(&desk.phone.asked()) + resets(&other.asked()), 0);
    // It is still known that the first was held for the second.
    desk.user.end(&second.path).await?;
    desk.user.wait_state(&first.path, "active").await
}

#[tokio::test]
async fn what_was_asked_is_asked_again_by_the_same_id() -> Result<()> {
    let mut desk = Desk::start().await?;
    let call = desk.phone.report_incoming("sip:rabbit@example.org").await?;
    desk.phone.script("PerformAnswer", Reply::Never);
    let caller = desk.arbiter.bus.connect().await?;
    let answer = async { caller.answer(&call.path).await };
    let crash = async {
        desk.phone.wait_asked("PerformAnswer", 1).await?;
        desk.restart("KILL").await?;
        desk.phone.wait_asked("PerformAnswer", 2).await
    };
    let (answered, again) = tokio::join!(answer, crash);
    assert_eq!(answered.unwrap_err().name, NO_REPLY, "the bus says that nobody will reply");
    let first = desk.phone.wait_asked("PerformAnswer", 1).await?;
    let again = again?;
    assert_eq!(again.request, first.request);
    assert_eq!(again.uuid(), Some(call.uuid.clone()));
    let before = |a: &str, b: &str| {
        let members: Vec<String> = desk.phone.asked().into_iter().map(|a| a.member).collect();
        members.iter().position(|m| m == a) < members.iter().rposition(|m| m == b)
    };
    assert!(before("Reconcile", "PerformAnswer"), "first where it stands");
    assert_eq!(desk.user.state(&call.path).await?, "answering");
    desk.phone.fulfil(&again.request).await?;
    desk.user.wait_state(&call.path, "active").await
}

#[tokio::test]
async fn a_plan_goes_on_at_its_step_and_its_requester_hears_of_the_end() -> Result<()> {
    let mut desk = Desk::start().await?;
    let other = FakeProvider::register(&desk.arbiter.bus, "org.example.Other").await?;
    let first = desk.phone.report_incoming("sip:rabbit@example.org").await?;
    desk.user.answer(&first.path).await?;
    desk.user.wait_audio("granted").await?;
    let second = other.report_incoming("sip:hatter@example.org").await?;
    desk.phone.script("PerformSetHeld", Reply::Never);
    // It asks once and never subscribes.
    let requester = desk.arbiter.bus.connect().await?;
    let actions = [action("Answer", [("call", second.uuid.clone().into())])];
    let transaction = requester.request(&actions, &Options::new()).await?;
    let hold = desk.phone.wait_asked("PerformSetHeld", 1).await?;
    desk.restart("KILL").await?;

    let again = desk.phone.wait_asked("PerformSetHeld", 2).await?;
    assert_eq!(again.request, hold.request);
    assert_eq!(property(&desk.user, &transaction, "Transaction", "State").await?, "running");
    assert_eq!(desk.user.state(&second.path).await?, "answering");
    assert_eq!(other.asked().iter().filter(|a| a.member == "PerformAnswer").count(), 0);
    desk.phone.fulfil(&again.request).await?;
    desk.user.wait_state(&second.path, "active").await?;
    assert_eq!(desk.user.state(&first.path).await?, "held");
    let ours = |message: &Message| message.header().path().is_some_and(|p| *p == *transaction);
    requester
        .expect("the end", |message| is(message, "Transaction", "Finished") && ours(message))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_repeated_token_gives_the_same_object() -> Result<()> {
    let mut desk = Desk::start().await?;
    let token = Uuid::new_v4().to_string();
    let with_token = || options([("token", token.clone().into())]);
    let start = async |user: &Peer| {
        let started: OwnedObjectPath = user
            .call(ROOT, "Manager", "StartCall", &("sip:rabbit@example.org", with_token()))
            .await?;
        anyhow::Ok(started)
    };
    let call = start(&desk.user).await?;
    desk.restart("KILL").await?;
    assert_eq!(start(&desk.user).await?, call);
    assert_eq!(desk.phone.asked().iter().filter(|a| a.member == "PerformStart").count(), 1);
    desk.user.end(call.as_str()).await?;
    desk.restart("KILL").await?;
    assert_eq!(start(&desk.user).await?, call, "for an hour, also when it is over");
    Ok(())
}

#[tokio::test]
async fn numbers_go_on_and_what_is_over_stays_over() -> Result<()> {
    let mut desk = Desk::start().await?;
    let call = desk.phone.report_incoming("sip:rabbit@example.org").await?;
    desk.user.answer(&call.path).await?;
    let group = property(&desk.user, &call.path, "Call", "Group").await?;
    desk.phone.report_ended(&call.uuid, "remote-ended").await?;
    let revision = desk.user.view().await?.revision;
    desk.restart("KILL").await?;
    assert!(desk.user.view().await?.revision >= revision);
    let refused = desk.phone.report_incoming_call(&call.uuid, &Options::new()).await.unwrap_err();
    assert_eq!(refused.short(), "AlreadyEnded");
    let next = desk.phone.report_incoming("sip:hatter@example.org").await?;
    desk.user.answer(&next.path).await?;
    assert_ne!(property(&desk.user, &next.path, "Call", "Group").await?, group);
    Ok(())
}

#[tokio::test]
async fn whoever_left_meanwhile_is_lost_like_any_other() -> Result<()> {
    let mut desk = Desk::with("authorization = \"allow\"\n[deadlines]\ngrace-ms = 1500\n").await?;
    let call = desk.phone.report_incoming("sip:rabbit@example.org").await?;
    desk.user.answer(&call.path).await?;
    desk.user.wait_audio("granted").await?;
    let gone = FakeProvider::register(&desk.arbiter.bus, "org.example.Gone").await?;
    let other = gone.report_incoming("sip:hatter@example.org").await?;
    desk.arbiter.stop("KILL").await?;
    let name = gone.peer.name();
    gone.peer.connection.clone().close().await?;
    eventually("it has left", async || desk.user.owner(&name).await.ok()?.is_none().then_some(()))
        .await?;
    desk.arbiter.start().await?;
    assert!(flag(&desk.user, &other.path, "Orphaned").await?);
    assert!(!flag(&desk.user, &call.path, "Orphaned").await?);
    desk.user.view().await?;
    let end = |message: &Message| {
        is(message, "Call", "Transition")
            && message.header().path().is_some_and(|path| *path == *other.path)
    };
    let end = desk.user.expect("its end", end).await?;
    let (_, new, reason, _): (String, String, String, u64) = end.body().deserialize()?;
    assert_eq!((new.as_str(), reason.is_empty()), ("ended", false));
    assert_eq!(desk.user.state(&call.path).await?, "active");
    Ok(())
}

#[tokio::test]
async fn on_another_bus_the_same_names_are_others() -> Result<()> {
    let mut desk = Desk::start().await?;
    let call = desk.phone.report_incoming("sip:rabbit@example.org").await?;
    let name = desk.phone.peer.name();
    let epoch = property(&desk.user, ROOT, "Manager", "Epoch").await?;
    desk.arbiter.stop("KILL").await?;
    let state = desk.arbiter.daemon.state.clone();

    let bus = Bus::session().await?;
    // Whoever has the provider's name here is not the provider.
    let mut strangers = Vec::new();
    while strangers.last().is_none_or(|peer: &Peer| peer.name() != name) {
        strangers.push(bus.connect().await?);
    }
    let daemon = Daemon::launch_with(&bus, ALLOW, &state, &[])?.ready(&bus).await?;
    let user = bus.connect().await?;
    assert_eq!(property(&user, ROOT, "Manager", "Epoch").await?, epoch);
    assert!(flag(&user, &call.path, "Orphaned").await?);
    let back = FakeProvider::register(&bus, "org.example.Phone").await?;
    let reconcile = back.wait_asked("Reconcile", 1).await?;
    assert_eq!(desk.stated(&reconcile, &call.uuid), "ringing");
    eventually("it is the app's again", async || {
        (!flag(&user, &call.path, "Orphaned").await.ok()?).then_some(())
    })
    .await?;
    for stranger in &strangers {
        let asked = |m: &Message| is(m, "ProviderDelegate", "Reconcile");
        assert!(!stranger.received().iter().any(asked), "{}", stranger.name());
    }
    drop(daemon);
    Ok(())
}

#[tokio::test]
async fn who_only_watches_one_object_has_to_look_again_too() -> Result<()> {
    let mut desk = Desk::start().await?;
    let call = desk.phone.report_incoming("sip:rabbit@example.org").await?;
    let watcher = desk.arbiter.bus.connect().await?;
    let properties = "org.freedesktop.DBus.Properties";
    let get_all = async || {
        let of = harness::interface("Call");
        let all: std::collections::HashMap<String, OwnedVariant> =
            watcher.call_at(harness::NAME, &call.path, properties, "GetAll", &of).await?;
        anyhow::Ok(all)
    };
    get_all().await?;
    let bystander = desk.arbiter.bus.connect().await?;
    bystander.view().await?;
    bystander.call::<_, ()>(ROOT, "Manager", "Unsubscribe", &()).await?;
    desk.restart("KILL").await?;
    watcher.expect("ResyncNeeded", |m| is(m, "Manager", "ResyncNeeded")).await?;
    get_all().await?;
    desk.user.answer(&call.path).await?;
    watcher.expect("a transition", |m| is(m, "Call", "Transition")).await?;
    let told = bystander.received();
    assert!(!told.iter().any(|m| is(m, "Manager", "ResyncNeeded")), "it had unsubscribed");
    Ok(())
}

#[tokio::test]
async fn on_a_system_bus_with_several_users() -> Result<()> {
    let mut arbiter = Arbiter::on_system_bus().await?;
    let alices = FakeProvider::register_as(&arbiter.bus, "alice", "org.example.Phone").await?;
    let bobs = FakeProvider::register_as(&arbiter.bus, "bob", "org.example.Phone").await?;
    let (hers, his) = (
        alices.report_incoming("sip:rabbit@example.org").await?,
        bobs.report_incoming("sip:hatter@example.org").await?,
    );
    alices.peer.answer(&hers.path).await?;
    let before = (alices.peer.view().await?, bobs.peer.view().await?);
    arbiter.crash_and_restart().await?;
    alices.wait_asked("Reconcile", 1).await?;
    bobs.wait_asked("Reconcile", 1).await?;
    same(&before.0, &settled(&alices.peer).await?);
    same(&before.1, &settled(&bobs.peer).await?);
    assert_eq!(bobs.peer.state(&hers.path).await.unwrap_err().name, UNKNOWN_OBJECT);
    bobs.peer.answer(&his.path).await?;
    Ok(())
}

const UNKNOWN_OBJECT: &str = "org.freedesktop.DBus.Error.UnknownObject";

/// One user's session: the arbiter, an app with calls, and somebody who watches and decides.
struct Desk {
    phone: FakeProvider,
    user: Peer,
    arbiter: Arbiter,
    before: Option<View>,
}

impl Desk {
    async fn start() -> Result<Desk> {
        Desk::with(ALLOW).await
    }

    async fn with(config: &str) -> Result<Desk> {
        let arbiter = Arbiter::on(Bus::session().await?, config).await?;
        let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
        let user = arbiter.bus.connect().await?;
        Ok(Desk { phone, user, arbiter, before: None })
    }

    /// Ends the daemon in the middle of what it does; whoever watched is told to look again.
    async fn restart(&mut self, signal: &str) -> Result<()> {
        let before = settled(&self.user).await?;
        let told = self.resyncs();
        self.arbiter.stop(signal).await?;
        self.arbiter.start().await?;
        eventually("ResyncNeeded", async || (self.resyncs() > told).then_some(())).await?;
        self.before = Some(before);
        Ok(())
    }

    fn resyncs(&self) -> usize {
        self.user.received().iter().filter(|m| is(m, "Manager", "ResyncNeeded")).count()
    }

    /// Everything is as it was; the revision may have gone on.
    async fn nothing_changed(&self) -> Result<()> {
        same(self.before.as_ref().unwrap(), &settled(&self.user).await?);
        Ok(())
    }

    async fn audio(&self) -> Result<(String, String)> {
        let holder = property(&self.user, ROOT, "AudioSession", "Holder").await?;
        Ok((holder, property(&self.user, ROOT, "AudioSession", "Generation").await?))
    }

    /// The state in which the arbiter says that a call is.
    fn stated(&self, reconcile: &Asked, uuid: &str) -> String {
        let body = reconcile.message.body();
        let (_, calls): (
            String,
            std::collections::HashMap<String, std::collections::HashMap<String, OwnedVariant>>,
        ) = body.deserialize().unwrap();
        String::try_from(calls[uuid]["state"].try_clone().unwrap()).unwrap()
    }
}

/// What a user sees once every provider has said where its calls stand: a question that is answered comes
/// after all that was said before it.
async fn settled(user: &Peer) -> Result<View> {
    let mut view = user.view().await?;
    eventually("nothing changes any more", async || {
        let next = user.view().await.ok()?;
        let same = next.revision == view.revision;
        view = next;
        same.then_some(())
    })
    .await?;
    Ok(view)
}

fn same(before: &View, after: &View) {
    let changes: Vec<String> = after
        .changes(before)
        .into_iter()
        .filter(|line| !line.contains("revision ") && !line.contains(" Revision "))
        .collect();
    assert_eq!(changes, [""; 0]);
    assert!(after.revision >= before.revision);
}

async fn property(user: &Peer, path: &str, interface: &str, name: &str) -> Result<String> {
    let value = user.property(path, interface, name).await?;
    Ok(match zbus::Variant::from(value) {
        zbus::Variant::Str(text) => text.to_string(),
        other => other.to_string(),
    })
}

async fn flag(user: &Peer, call: &str, name: &str) -> Result<bool> {
    Ok(bool::try_from(user.property(call, "Call", name).await?)?)
}
