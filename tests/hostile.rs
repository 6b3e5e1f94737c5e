//! Programs that want to harm, on a system bus with the shipped policy: whatever bob does, he gets typed
//! errors, the daemon stays small, alice's calls go on in order, and nothing of it remains.
//!
//! `CALLARBITER_STRESS=10` multiplies the sizes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "hostile/scene.rs"]
mod scene;

use std::collections::HashMap;
use std::fs;
use std::os::fd::AsFd;

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use harness::{
    Action, Bus, Daemon, Launch, NAME, Options, ROOT, Refused, Reply, action, eventually,
    interface, is, options,
};
use scene::*;
use zbus::{Fd, Message, OwnedObjectPath, OwnedVariant};

#[tokio::test]
async fn calls_without_end() -> Result<()> {
    let scene = Scene::set().await?;
    let bob = scene.bob().await?;
    let times = scaled(10_000);
    let version = (interface("Manager"), "Version");
    let nothing: (Vec<Action>, Options) = Default::default();
    scene
        .meanwhile(async {
            flood(&bob, times, ROOT, PROPERTIES, "Get", &version).await?;
            flood(&bob, times, ROOT, INTROSPECTABLE, "Introspect", &()).await?;
            flood(&bob, times, "/nowhere", "no.such", "Method", &(7u8, "x")).await?;
            flood(&bob, times, ROOT, &interface("Manager"), "RequestTransaction", &nothing).await?;
            flood(&bob, times, ROOT, OBJECTS, "GetManagedObjects", &()).await
        })
        .await?;
    drop(bob);
    scene.ends_unharmed().await
}

#[tokio::test]
async fn calls_whose_outcome_nobody_decides() -> Result<()> {
    let scene = Scene::set().await?;
    let phone = scene.bobs_phone().await?;
    phone.script("PerformAnswer", Reply::Never);
    let call = phone.report_incoming("sip:hatter@example.org").await?;
    let bobs = [scene.bob().await?, scene.bob().await?, scene.bob().await?];
    let answers = join_all((0..300).map(|n| bobs[n % 3].answer(&call.path)));
    let answers = scene.meanwhile(async { Ok(answers.await) }).await?;
    let why = |error: &str| {
        let of = |answer: &&Result<(), Refused>| {
            answer.as_ref().is_err_and(|refused| refused.short() == error)
        };
        answers.iter().filter(of).count()
    };
    // All were answered; nobody answered the call, and only so many were let wait.
    assert!(why("LimitExceeded") >= 300 - 128, "{answers:?}");
    assert!(why("TimedOut") >= 1, "{answers:?}");
    assert!(answers.iter().all(Result::is_err));
    // The end of one that does not answer is an end all the same.
    phone.script("PerformEnd", Reply::Never);
    let last = phone.report_incoming("sip:hatter@example.org").await?;
    bobs[0].end(&last.path).await?;
    drop((phone, bobs));
    scene.ends_unharmed().await
}

#[tokio::test]
async fn registrations_and_subscriptions_without_end() -> Result<()> {
    let scene = Scene::set().await?;
    let bob = scene.bob().await?;
    let register = async |n: usize| -> Result<OwnedObjectPath, Refused> {
        let path = zbus::ObjectPath::try_from("/delegate").unwrap();
        let app = format!("org.example.App{n}");
        let body = (app, path, Options::new());
        let (path, _): (OwnedObjectPath, HashMap<String, OwnedVariant>) =
            bob.call(ROOT, "Manager", "RegisterProvider", &body).await?;
        Ok(path)
    };
    let (registered, refused) = scene.meanwhile(many(scaled(10_000), register)).await?;
    assert_eq!(registered.len(), 64);
    assert!(refused.iter().any(|refused| refused.message.contains("`providers`")));
    assert!(refused.iter().any(|refused| refused.message.contains("`reports-per-second`")));

    let mut others = vec![];
    for _ in 0..10 {
        others.push(scene.bob().await?);
    }
    let watch = async |n: usize| -> Result<HashMap<String, OwnedVariant>, Refused> {
        let path = &registered[n / 10 % registered.len()];
        let of = (interface("Provider"),);
        others[n % 10].call_at(NAME, path, PROPERTIES, "GetAll", &of).await
    };
    let (_, refused) = scene.meanwhile(many(scaled(10_000), watch)).await?;
    assert!(refused.iter().all(|refused| refused.message.contains("subscriptions")), "{refused:?}");
    assert!(!refused.is_empty());
    assert_eq!(usage(&bob).await?["subscriptions"], 512);
    // What needs no subscription works.
    assert_eq!(usage(&bob).await?["providers"], 64);
    drop((bob, others));
    scene.ends_unharmed().await
}

#[tokio::test]
async fn a_subscriber_that_never_reads() -> Result<()> {
    let scene = Scene::set().await?;
    let phone = scene.bobs_phone().await?;
    phone.peer.view().await?;
    let deaf = scene.bob().await?;
    deaf.view().await?;
    let unread = deafen(&deaf);
    let call = phone.report_incoming("sip:hatter@example.org").await?;
    let renamed = async |n: usize| -> Result<(), Refused> {
        let name = format!("{n}{}", "x".repeat(200));
        phone.tell("UpdateCall", &(&call.uuid, options([("display-name", name.into())]))).await
    };
    let (done, refused) = scene.meanwhile(many(900, renamed)).await?;
    assert_eq!((done.len(), refused.len()), (900, 0));
    // Who reads got everything; who does not was told so when it reads at last.
    let changed = |message: &&Message| {
        message.header().member().is_some_and(|member| member.as_str() == "PropertiesChanged")
    };
    assert!(phone.peer.received().iter().filter(changed).count() >= 900);
    assert!(!phone.peer.received().iter().any(|message| is(message, "Manager", "ResyncNeeded")));
    drop(unread);
    deaf.expect("that it missed something", |m| is(m, "Manager", "ResyncNeeded")).await?;
    let got = deaf.received();
    assert!(got.iter().map(|message| message.data().len()).sum::<usize>() < 256 * 1024);
    assert!(got.last().is_some_and(|last| is(last, "Manager", "ResyncNeeded")), "and no more");
    deaf.view().await?;
    phone.report_ended(&call.uuid, "remote-ended").await?;
    deaf.expect("what changed since", |m| is(m, "Call", "Transition")).await?;
    drop((phone, deaf));
    scene.ends_unharmed().await
}

/// A bus charges what is not read to its sender, and takes no more from one that is owed 127 MiB.
#[tokio::test]
async fn callers_that_never_read_their_replies() -> Result<()> {
    let scene = Scene::set().await?;
    let mut deaf = vec![];
    for _ in 0..4 {
        let bob = scene.bob().await?;
        bob.view().await?;
        deaf.push((deafen(&bob), bob));
    }
    let reads = scene.bobs_phone().await?;
    for round in 0..scaled(60) {
        for (_, bob) in &deaf {
            for _ in 0..100 {
                let ask = Message::method_call(ROOT, "Introspect").destination(NAME);
                bob.connection.send(&ask.interface(INTROSPECTABLE).build(&())?).await?;
            }
        }
        // A bus lets a connection have 128 calls without a reply: those are through.
        scene.alice.property(ROOT, "Manager", "Version").await?;
        if round % 20 == 0 {
            scene.whole_call().await?;
            whole_call(&reads, &reads.peer).await?;
        }
    }
    // The view of the whole is what bob's programs get no more, until those who do not read are gone.
    let path = zbus::ObjectPath::try_from("/delegate")?;
    for n in 0..60 {
        let app = (format!("org.example.App{n}"), &path, Options::new());
        reads
            .peer
            .call::<_, (OwnedObjectPath, HashMap<String, OwnedVariant>)>(
                ROOT,
                "Manager",
                "RegisterProvider",
                &app,
            )
            .await?;
    }
    let refused = reads.peer.view().await.unwrap_err();
    assert!(refused.short() == "LimitExceeded" && refused.message.contains("Ping"), "{refused}");
    drop(deaf);
    eventually("what nobody will read is forgotten", async || reads.peer.view().await.ok()).await?;
    drop(reads);
    scene.ends_unharmed().await
}

#[tokio::test]
async fn a_provider_that_dies_inside_each_of_its_callbacks() -> Result<()> {
    let scene = Scene::set().await?;
    let bob = scene.bob().await?;
    let members = [
        "PerformAnswer",
        "PerformEnd",
        "PerformSetHeld",
        "PerformSetMuted",
        "PerformPlayDtmf",
        "PerformStart",
        "AudioActivated",
        "AudioDeactivated",
    ];
    for member in members {
        let phone = scene.bobs_phone().await?;
        let none = Options::new();
        if member == "PerformStart" {
            phone.script(member, Reply::Never);
            bob.call::<_, OwnedObjectPath>(ROOT, "Manager", "StartCall", &("sip:a@b", &none))
                .await?;
            phone.wait_asked(member, 1).await?;
        } else {
            let call = phone.report_incoming("sip:hatter@example.org").await?;
            let early = matches!(member, "PerformAnswer" | "AudioActivated");
            if early {
                phone.script(member, Reply::Never);
            }
            let answer = action("Answer", [("call", call.uuid.clone().into())]);
            bob.request(&[answer], &none).await?;
            if !early {
                phone.wait_asked("AudioActivated", 1).await?;
                bob.wait_audio("granted").await?;
                phone.script(member, Reply::Never);
                let path = call.uuid.clone();
                let next = match member {
                    "PerformEnd" => action("End", [("call", path.into())]),
                    "PerformSetMuted" => {
                        action("SetMuted", [("call", path.into()), ("muted", true.into())])
                    }
                    "PerformPlayDtmf" => {
                        action("PlayDtmf", [("call", path.into()), ("digits", "1".into())])
                    }
                    _ => action("SetHeld", [("call", path.into()), ("held", true.into())]),
                };
                bob.request(&[next], &none).await?;
            }
            phone.wait_asked(member, 1).await?;
        }
        drop(phone);
        scene.whole_call().await?;
        eventually(&format!("the end of all after {member}"), async || {
            let usage = usage(&bob).await.ok()?;
            (usage["calls"] == 0 && usage["providers"] == 0 && usage["transactions"] == 0)
                .then_some(())
        })
        .await?;
        // It comes back as if nothing had been.
        let again = scene.bobs_phone().await?;
        whole_call(&again, &bob).await?;
    }
    drop(bob);
    scene.ends_unharmed().await
}

#[tokio::test]
async fn a_caller_that_dies_before_its_reply() -> Result<()> {
    let scene = Scene::set().await?;
    let phone = scene.bobs_phone().await?;
    let mut before = 0;
    for _ in 0..scaled(20) {
        phone.script("PerformAnswer", Reply::Never);
        let call = phone.report_incoming("sip:hatter@example.org").await?;
        let bob = scene.bob().await?;
        bob.connection
            .send(&to_arbiter(&call.path, &interface("Call"), "Answer", &Options::new())?)
            .await?;
        before += 1;
        let asked = phone.wait_asked("PerformAnswer", before).await?;
        drop(bob);
        phone.fulfil(&asked.request).await?;
        // What was asked for is done all the same.
        assert_eq!(phone.peer.state(&call.path).await?, "active");
        phone.report_ended(&call.uuid, "remote-ended").await?;
    }
    drop(phone);
    scene.ends_unharmed().await
}

#[tokio::test]
async fn forgeries_of_another_user() -> Result<()> {
    let scene = Scene::set().await?;
    let bob = scene.bob().await?;
    scene.phone.script("PerformAnswer", Reply::Never);
    let call = scene.phone.report_incoming("sip:rabbit@example.org").await?;
    let answer = action("Answer", [("call", call.uuid.clone().into())]);
    scene.alice.request(&[answer], &Options::new()).await?;
    let asked = scene.phone.wait_asked("PerformAnswer", 2).await?;
    let before = scene.alice.view().await?;
    let heard = scene.alice.received().len();
    for to in [scene.alice.name(), scene.phone.peer.name()] {
        let of = interface("ProviderDelegate");
        let forged = (&asked.request, &call.uuid, Options::new());
        let said = bob.call_at::<_, ()>(&to, "/delegate", &of, "PerformEnd", &forged).await;
        assert_eq!(said.unwrap_err().name, "org.freedesktop.DBus.Error.AccessDenied");
        let signal =
            Message::signal(ROOT, interface("Manager"), "ResyncNeeded").destination(to.as_str());
        bob.connection.send(&signal.build(&7u64)?).await?;
    }
    // What only the bus may say, to the daemon itself.
    let daemon = bob.owner(NAME).await?.unwrap_or_default();
    for (member, body) in [
        ("NameOwnerChanged", (scene.phone.peer.name(), "", "")),
        ("NameLost", (NAME.into(), "", "")),
    ] {
        let signal = Message::signal("/org/freedesktop/DBus", "org.freedesktop.DBus", member);
        bob.connection.send(&signal.destination(daemon.as_str()).build(&body)?).await?;
    }
    let provider = format!("{ROOT}/provider/1");
    let theirs = (&asked.request, Options::new());
    let said = bob.call::<_, ()>(&provider, "Provider", "Fulfil", &theirs).await.unwrap_err();
    assert_eq!(said.name, "org.freedesktop.DBus.Error.UnknownObject");
    assert_eq!(scene.alice.view().await?.changes(&before), [""; 0]);
    assert_eq!(scene.alice.received().len(), heard, "alice heard nothing");
    scene.phone.fulfil(&asked.request).await?;
    scene.alice.end(&call.path).await?;
    scene.phone.script("PerformAnswer", Reply::Fulfil);
    drop(bob);
    scene.ends_unharmed().await
}

#[tokio::test]
async fn reports_as_fast_as_the_bus_carries_them() -> Result<()> {
    let scene = Scene::set().await?;
    let phone = scene.bobs_phone().await?;
    let call = phone.report_incoming("sip:hatter@example.org").await?;
    let update = |n: usize| (&call.uuid, options([("display-name", format!("{n}").into())]));
    let times = scaled(10_000);
    scene
        .meanwhile(flood(
            &phone.peer,
            times,
            &phone.path,
            &interface("Provider"),
            "UpdateCall",
            &update(0),
        ))
        .await?;
    let said = async |n: usize| phone.tell::<_, ()>("UpdateCall", &update(n)).await;
    let (_, refused) = scene.meanwhile(many(times, said)).await?;
    assert!(refused.len() > times / 2, "{} of {times}", refused.len());
    assert!(refused.iter().all(|refused| refused.message.contains("`reports-per-second`")));
    // An end is always heard, and an unknown call's never cost the others their memory.
    phone.report_ended(&call.uuid, "remote-ended").await?;
    assert_eq!(usage(&phone.peer).await?["calls"], 0);
    drop(phone);
    scene.ends_unharmed().await
}

#[tokio::test]
async fn messages_beyond_all_bounds() -> Result<()> {
    let scene = Scene::set().await?;
    let bob = scene.bob().await?;
    let end = || action("End", [("call", "00000000-0000-4000-8000-000000000000".into())]);
    let actions: Vec<Action> = (0..10_000).map(|_| end()).collect();
    let short: Vec<Action> = (0..1000).map(|_| end()).collect();
    let name = "x".repeat(200_000);
    let large = (options([("unknown", name.into())]),);
    let path = format!("{ROOT}/call/{}", "x".repeat(100_000));
    scene
        .meanwhile(async {
            for actions in [&actions, &short] {
                for _ in 0..scaled(5) {
                    let refused = bob.request(actions, &Options::new()).await.unwrap_err();
                    ensure!(refused.short() == "LimitExceeded", "{refused}");
                }
            }
            let refused =
                bob.call_at::<_, String>(NAME, &path, INTROSPECTABLE, "Introspect", &()).await;
            ensure!(refused.as_ref().is_err_and(|r| r.short() == "LimitExceeded"), "{refused:?}");
            flood(&bob, scaled(300), ROOT, &interface("Manager"), "Subscribe", &large).await
        })
        .await?;
    drop(bob);
    scene.ends_unharmed().await
}

/// A message can carry sixteen, and systemd lets a service open 1,024: one more ends its connection.
#[tokio::test]
async fn files_in_every_message() -> Result<()> {
    let bus = Bus::session().await?;
    let daemon = Launch::new("prlimit").arg("--nofile=1024:1024").arg(Daemon::program()?);
    let daemon = daemon.arg("--bus").arg(bus.address()).start(bus.directory())?;
    let direct = bus.connect().await?;
    eventually("the daemon serves", async || direct.owner(NAME).await.ok().flatten()).await?;
    let open = || fs::read_dir(format!("/proc/{}/fd", daemon.pid())).map(Iterator::count);
    direct.property(ROOT, "Manager", "Version").await?;
    let (files, file) = (open()?, fs::File::open("/dev/null")?);
    let sixteen: Vec<Fd<'_>> = (0..16).map(|_| Fd::from(file.as_fd())).collect();
    let with_files = (sixteen,);
    flood(&direct, scaled(3000), ROOT, &interface("Manager"), "Subscribe", &with_files).await?;
    let refused =
        direct.call::<_, ()>(ROOT, "Manager", "Subscribe", &with_files).await.unwrap_err();
    assert_eq!(refused.name, "org.freedesktop.DBus.Error.InvalidArgs");
    assert_eq!(open()?, files);
    Ok(())
}

/// What a script in a loop leaves is bounded, too.
#[tokio::test]
async fn transactions_without_end() -> Result<()> {
    let scene = Scene::set().await?;
    let phone = scene.bobs_phone().await?;
    let bob = scene.bob().await?;
    let call = phone.report_incoming("sip:hatter@example.org").await?;
    bob.answer(&call.path).await?;
    let mute = async |n: usize| {
        let muted = [("call", call.uuid.clone().into()), ("muted", n.is_multiple_of(2).into())];
        bob.request(&[action("SetMuted", muted)], &Options::new()).await
    };
    scene.meanwhile(many(scaled(3000), mute)).await?;
    let objects = bob.view().await?.objects.len();
    assert!(objects < 256 + 128 + 4, "{objects} objects");
    phone.report_ended(&call.uuid, "remote-ended").await?;
    drop((phone, bob));
    scene.ends_unharmed().await
}
