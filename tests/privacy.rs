//! One user's calls are nobody else's business: another user on the same system bus, who tries all that
//! the bus lets through, learns nothing of them; not who, not how many, not even that there are any.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::HashMap;

use anyhow::Result;
use harness::{
    Arbiter, FakeProvider, NAME, Options, Peer, ROOT, Reported, action, interface, options,
};
use serde::Serialize;
use zbus::{DynamicType, OwnedObjectPath, OwnedVariant};

const HANDLE: &str = "sip:white.rabbit@wonderland.example";
const PERSON: &str = "White Rabbit";
const APP: &str = "org.wonderland.Phone";
const NOBODYS: &str = "33333333-3333-4333-8333-333333333333";

/// Alice has a ringing and an active call; bob is another user.
struct Scene {
    phone: FakeProvider,
    alice: Peer,
    bob: Peer,
    calls: [Reported; 2],
    arbiter: Arbiter,
}

impl Scene {
    async fn set() -> Result<Scene> {
        let arbiter = Arbiter::on_system_bus().await?;
        let bob = arbiter.bus.connect_as("bob").await?;
        let phone = FakeProvider::register_as(&arbiter.bus, "alice", APP).await?;
        let alice = arbiter.bus.connect_as("alice").await?;
        let calls = [ring(&phone).await?, ring(&phone).await?];
        alice.answer(&calls[1].path).await?;
        alice.wait_audio("granted").await?;
        Ok(Scene { phone, alice, bob, calls, arbiter })
    }

    /// Every object path that alice can see, the root left out.
    async fn paths(&self) -> Result<Vec<String>> {
        let objects = self.alice.view().await?.objects;
        Ok(objects.into_keys().filter(|path| path != ROOT).collect())
    }

    fn secrets(&self) -> Vec<&str> {
        let calls = self.calls.iter().flat_map(|call| [call.uuid.as_str(), call.path.as_str()]);
        [HANDLE, PERSON, APP, "rabbit"].into_iter().chain(calls).collect()
    }
}

async fn ring(phone: &FakeProvider) -> Result<Reported> {
    let uuid = uuid::Uuid::new_v4().to_string();
    let update = options([("remote-handle", HANDLE.into()), ("display-name", PERSON.into())]);
    let path = phone.report_incoming_call(&uuid, &update).await?;
    Ok(Reported { uuid, path })
}

#[tokio::test]
async fn listing_shows_nothing() -> Result<()> {
    let scene = Scene::set().await?;
    let bob = &scene.bob;
    let view = bob.view().await?;
    assert_eq!(view.revision, 0, "how much happens elsewhere");
    assert_eq!(view.objects.keys().collect::<Vec<_>>(), [ROOT]);
    let objects = "org.freedesktop.DBus.ObjectManager";
    let managed: HashMap<OwnedObjectPath, HashMap<String, HashMap<String, OwnedVariant>>> =
        bob.call_at(NAME, ROOT, objects, "GetManagedObjects", &()).await?;
    assert!(managed.is_empty());
    for path in [ROOT.to_owned(), format!("{ROOT}/call"), format!("{ROOT}/provider")] {
        let introspectable = "org.freedesktop.DBus.Introspectable";
        let tree: Result<String, _> =
            bob.call_at(NAME, &path, introspectable, "Introspect", &()).await;
        assert!(!tree.unwrap_or_default().contains("<node name="), "children of {path}");
    }
    let shown = format!("{view:?}");
    for secret in scene.secrets() {
        assert!(!shown.contains(secret), "{secret}");
    }
    Ok(())
}

#[tokio::test]
async fn numbers_are_each_users_own() -> Result<()> {
    let scene = Scene::set().await?;
    // Were they counted together, bob's first would tell how many there are.
    let own = FakeProvider::register_as(&scene.arbiter.bus, "bob", "org.example.Own").await?;
    assert_eq!(own.path, scene.phone.path);
    let call = ring(&own).await?;
    scene.bob.answer(&call.path).await?;
    let seen = scene.bob.view().await?;
    assert!(seen.objects.keys().all(|path| !path.ends_with("/2")), "{:?}", seen.objects.keys());
    // Nor does alice see bob's, and both have audio of their own.
    assert!(!scene.paths().await?.contains(&call.path));
    assert_eq!(scene.alice.state(&scene.calls[1].path).await?, "active");
    assert_eq!(scene.bob.state(&call.path).await?, "active");
    Ok(())
}

#[tokio::test]
async fn what_is_alices_looks_as_if_it_were_not_there() -> Result<()> {
    let scene = Scene::set().await?;
    let before = scene.alice.view().await?;
    let none = Options::new();
    let paths = scene.paths().await?;
    for kind in ["call", "provider", "group", "transaction"] {
        assert!(paths.iter().any(|path| path.contains(&format!("/{kind}/"))), "{kind}: {paths:?}");
    }
    for path in paths {
        // The same kind of object, where there is none at all.
        let nothing = match path.rsplit_once('/') {
            Some((parent, id)) if id.len() == 36 => {
                format!("{parent}/{}", NOBODYS.replace('-', "_"))
            }
            Some((parent, _)) => format!("{parent}/999"),
            None => unreachable!(),
        };
        let short = match path.split('/').nth(4) {
            Some("call") => "Call",
            Some("provider") => "Provider",
            Some("group") => "Group",
            _ => "Transaction",
        };
        let (of, properties) = (interface(short), "org.freedesktop.DBus.Properties");
        indistinguishable(&scene.bob, &path, &nothing, properties, "Get", &(&of, "Revision")).await;
        indistinguishable(&scene.bob, &path, &nothing, properties, "GetAll", &(&of,)).await;
        let introspectable = "org.freedesktop.DBus.Introspectable";
        indistinguishable(&scene.bob, &path, &nothing, introspectable, "Introspect", &()).await;
        for (member, body) in [
            ("Answer", Some(&none)),
            ("End", Some(&none)),
            ("Hold", None),
            ("Unregister", None),
            ("Cancel", None),
        ] {
            match body {
                Some(body) => {
                    indistinguishable(&scene.bob, &path, &nothing, &of, member, body).await
                }
                None => indistinguishable(&scene.bob, &path, &nothing, &of, member, &()).await,
            }
        }
    }
    let changes = scene.alice.view().await?.changes(&before);
    assert_eq!(changes, [""; 0], "and nothing of it moved");
    Ok(())
}

#[tokio::test]
async fn uuids_of_alice_are_unknown() -> Result<()> {
    let scene = Scene::set().await?;
    let before = scene.alice.view().await?;
    for uuid in [&scene.calls[0].uuid, &scene.calls[1].uuid] {
        let end = |uuid: &str| vec![action("End", [("call", uuid.to_owned().into())])];
        let hers = scene.bob.request(&end(uuid), &Options::new()).await.unwrap_err();
        let nobodys = scene.bob.request(&end(NOBODYS), &Options::new()).await.unwrap_err();
        assert_eq!(hers.short(), "UnknownCall");
        assert_eq!(hers.message.replace(uuid, NOBODYS), nobodys.message);
    }
    // Through alice's app nobody else can place a call.
    let through = options([("provider", APP.into())]);
    let start: Result<OwnedObjectPath, _> =
        scene.bob.call(ROOT, "Manager", "StartCall", &(HANDLE, through)).await;
    assert_eq!(start.unwrap_err().short(), "UnknownProvider");
    // The same UUID is free for bob: a refusal would tell that it is in use.
    let own = FakeProvider::register_as(&scene.arbiter.bus, "bob", "org.example.Own").await?;
    let mine = own.report_incoming_call(&scene.calls[0].uuid, &Options::new()).await?;
    assert_eq!(mine, scene.calls[0].path);
    own.report_ended(&scene.calls[0].uuid, "remote-ended").await?;
    assert_eq!(scene.alice.view().await?.changes(&before), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn nothing_is_overheard() -> Result<()> {
    let scene = Scene::set().await?;
    let bob = &scene.bob;
    bob.view().await?;
    for rule in ["", "eavesdrop=true", "type='signal',path_namespace='/org/callarbiter'"] {
        // An older bus refuses to eavesdrop, a newer one takes the rule and gives nothing.
        let _ = bob.bus::<_, ()>("AddMatch", &(rule,)).await;
    }
    let monitoring = "org.freedesktop.DBus.Monitoring";
    let bus = "org.freedesktop.DBus";
    let rules: (Vec<&str>, u32) = (vec![], 0);
    let monitor = bob
        .call_at::<_, ()>(bus, "/org/freedesktop/DBus", monitoring, "BecomeMonitor", &rules)
        .await;
    assert_eq!(monitor.unwrap_err().name, "org.freedesktop.DBus.Error.AccessDenied");

    scene.alice.view().await?;
    scene.alice.hold(&scene.calls[1].path).await?;
    scene.alice.unhold(&scene.calls[1].path).await?;
    scene.phone.report_ended(&scene.calls[0].uuid, "remote-ended").await?;
    scene.alice.expect("her own view of it", |m| member(m) == "InterfacesRemoved").await?;
    // All that went out before has arrived when the answer to this is here.
    assert_eq!(bob.view().await?.revision, 0);
    let overheard: Vec<_> = bob.received().into_iter().filter(|m| !is_from_the_bus(m)).collect();
    assert!(overheard.is_empty(), "{overheard:?}");
    scene.arbiter.assert_no_personal_data(&scene.secrets()[..2]);
    Ok(())
}

#[tokio::test]
async fn the_log_tells_nothing_about_people() -> Result<()> {
    let mut scene = Scene::set().await?;
    let phone = &scene.phone;
    let told = options([("message", "see you at the tea party".into())]);
    let (ringing, active) = (&scene.calls[0].path, &scene.calls[1].path);
    scene.alice.call::<_, ()>(active, "Call", "SendDtmf", &("4711",)).await?;
    scene.alice.call::<_, ()>(ringing, "Call", "End", &told).await?;
    let long = options([("display-name", PERSON.repeat(100).into())]);
    phone.report_incoming_call(NOBODYS, &long).await.unwrap_err();
    let through = options([("provider", "org.example.None".into())]);
    let start: Result<OwnedObjectPath, _> =
        scene.alice.call(ROOT, "Manager", "StartCall", &("tel:+49301234567", through)).await;
    start.unwrap_err();
    let people = [HANDLE, PERSON, "rabbit", "4711", "tea party", "49301234567"];
    // Not before the last line is written.
    scene.arbiter.stop("TERM").await?;
    scene.arbiter.assert_no_personal_data(&people);
    assert!(
        !scene.arbiter.daemon.process.log().is_empty(),
        "it was meant to log everything it does"
    );
    Ok(())
}

/// Bob gets one and the same error for both paths.
async fn indistinguishable<B>(
    bob: &Peer,
    hers: &str,
    nothing: &str,
    of: &str,
    member: &str,
    body: &B,
) where
    B: Serialize + DynamicType,
{
    let mut said = vec![];
    for path in [hers, nothing] {
        let reply = bob.connection.call_method(Some(NAME), path, Some(of), member, body).await;
        let Err(error) = reply else { panic!("{of}.{member} at {path} was answered") };
        let (name, message) = harness::error(&error);
        said.push((name, message.replace(path, "PATH").replace(&id(path), "ID")));
    }
    assert_eq!(said[0], said[1], "{of}.{member} tells that {hers} is there");
}

fn id(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().replace('_', "-")
}

fn member(message: &zbus::Message) -> String {
    message.header().member().map(ToString::to_string).unwrap_or_default()
}

fn is_from_the_bus(message: &zbus::Message) -> bool {
    message.header().sender().is_some_and(|sender| sender.as_str() == "org.freedesktop.DBus")
}
