//! Do-not-disturb with its exceptions, and what is left of a call that it kept away.

use std::collections::HashMap;

use anyhow::Result;
use harness::{
    Arbiter, Bus, FakeAgent, FakeProvider, Peer, ROOT, Refused, View, Witness, eventually, is,
    options,
};
use zbus::{OwnedVariant, Variant};

const CONFIG: &str = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n";

#[tokio::test]
async fn a_call_that_may_not_disturb_leaves_a_trace_and_friends_ring() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, CONFIG).await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let agent = FakeAgent::with(&arbiter.bus, &["dnd"]).await?;
    do_not_disturb(&agent.peer, &["+49 30 1"]).await?;

    let mut observer = Witness::subscribe(&arbiter.bus).await?;
    observer.agrees(&phone.peer).await?;
    let uuid = "11111111-1111-4111-8111-111111111111";
    let from = |handle: &'static str| options([("remote-handle", handle.into())]);
    let why = phone.report_incoming_call(uuid, &from("sip:ada@example.org")).await.unwrap_err();
    assert_eq!(why.short(), "FilteredByDoNotDisturb", "{why}");
    observer.agrees(&phone.peer).await?;
    let added = observer.peer.expect("the call", |m| is_from(m, "InterfacesAdded"));
    let (_, interfaces): (zbus::OwnedObjectPath, HashMap<String, HashMap<String, OwnedVariant>>) =
        added.await?.body().deserialize()?;
    let call = &interfaces["org.callarbiter.Calls1.Call"];
    let text = |name: &str| match &*call[name] {
        Variant::Str(text) => text.to_string(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!((text("State"), text("EndReason")), ("ended".into(), "filtered".into()));
    assert_eq!(text("EndDetail"), callarbiter::words::DISTURBS);
    assert_eq!(text("RemoteHandle"), "sip:ada@example.org");
    let moved = observer.peer.expect("its end", |m| is(m, "Call", "Transition")).await?;
    let (old, new, reason, _): (String, String, String, u64) = moved.body().deserialize()?;
    assert_eq!([old, new, reason], ["screening", "ended", "filtered"]);
    assert!(calls(&phone.peer.view().await?).is_empty());
    let why = phone.report_incoming_call(uuid, &from("sip:ada@example.org")).await.unwrap_err();
    assert_eq!(why.short(), "AlreadyEnded", "{why}");

    for handle in ["tel:+49-30-1", "ada@example.org"] {
        let call = phone.report_incoming(handle).await?;
        assert_eq!(phone.peer.state(&call.path).await?, "ringing", "a friend, or urgent");
    }
    assert!(phone.report_incoming("sip:grace@example.org").await.is_err());
    arbiter.assert_no_personal_data(&["ada@", "grace@", "+49"]);
    let log = || arbiter.daemon.process.log();
    eventually("the journal has it", async || log().contains("filtered").then_some(())).await
}

async fn do_not_disturb(agent: &Peer, allow: &[&str]) -> Result<(), Refused> {
    let allow: Vec<String> = allow.iter().map(|handle| (*handle).to_owned()).collect();
    let how = options([("allow", allow.into())]);
    agent.call(ROOT, "Manager", "SetDoNotDisturb", &(true, how)).await
}

fn is_from(message: &zbus::Message, member: &str) -> bool {
    message.header().member().is_some_and(|own| own.as_str() == member)
}

fn calls(view: &View) -> Vec<&String> {
    view.objects.keys().filter(|path| path.contains("/call/")).collect()
}
