//! Many clients at once: an observer that knows nothing but signals ends with what a snapshot says, every
//! change came in its order and once, replies come in the order of their calls, and every refusal is typed.
//!
//! `CALLARBITER_STRESS=10` multiplies the sizes; `CALLARBITER_SEED` repeats a run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use harness::{
    Arbiter, Dice, FakeProvider, Known, NAME, Options, Peer, ROOT, Refused, Reply, action,
    eventually, interface, options, seed,
};
use zbus::message::Type;
use zbus::{Message, MessageStream, OwnedObjectPath, OwnedVariant};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";

type Changed = HashMap<String, OwnedVariant>;

fn scaled(size: usize) -> usize {
    let factor = std::env::var("CALLARBITER_STRESS").ok().and_then(|text| text.parse().ok());
    size * factor.unwrap_or(1)
}

/// Every change of a user's, as one of its programs that is always there sees it.
struct Observer {
    app: FakeProvider,
    known: Known,
    read: usize,
}

impl Observer {
    async fn subscribe(arbiter: &Arbiter, user: &str) -> Result<Observer> {
        let app = FakeProvider::register_as(&arbiter.bus, user, "org.example.Observer").await?;
        let known = Known::from(app.peer.view().await?);
        Ok(Observer { app, known, read: 0 })
    }

    /// Reads all that came; in the end it knows what anybody can read.
    async fn agrees(&mut self, with: &Peer) -> Result<()> {
        // A deadline may change something between the two: then they are compared again.
        for _ in 0..100 {
            let now = with.view().await?;
            let mut read = Ok(());
            eventually("the observer has every change that is in the snapshot", async || {
                read = self.read();
                (read.is_err() || self.known.revision >= now.revision).then_some(())
            })
            .await
            .with_context(|| format!("it has {} of {}", self.known.revision, now.revision))?;
            read?;
            if self.known.revision == now.revision {
                let differences = self.known.differences(&Known::from(now));
                ensure!(differences.is_empty(), "{differences:#?}");
                return Ok(());
            }
        }
        bail!("it never comes to rest")
    }

    fn read(&mut self) -> Result<()> {
        let received = self.app.peer.received();
        let signals = received[self.read..].iter().filter(|m| m.message_type() == Type::Signal);
        for signal in signals {
            let from_bus = signal.header().sender().is_some_and(|s| s.as_str().starts_with("org."));
            if !from_bus {
                self.known.apply(signal).with_context(|| format!("{signal:?}"))?;
            }
        }
        self.read = received.len();
        Ok(())
    }
}

/// Refusals that a race explains; anything else, a lost reply above all, is a failure.
fn ordinary<T>(answer: Result<T, Refused>) -> Result<()> {
    let Err(refused) = answer else { return Ok(()) };
    let typed = refused.name.starts_with(harness::ERROR);
    let gone = refused.name == "org.freedesktop.DBus.Error.UnknownObject";
    ensure!((typed || gone) && !refused.message.is_empty(), "{refused}");
    Ok(())
}

/// One program that controls calls: now this, now that, and now and then it leaves in the middle.
async fn control(arbiter: &Arbiter, user: &str, mut dice: Dice, turns: usize) -> Result<()> {
    let mut me = arbiter.bus.connect_as(user).await?;
    for _ in 0..turns {
        let none: HashMap<OwnedObjectPath, HashMap<String, Changed>> =
            me.call_at(NAME, ROOT, OBJECTS, "GetManagedObjects", &()).await?;
        let calls: Vec<String> =
            none.keys().map(ToString::to_string).filter(|path| path.contains("/call/")).collect();
        let path = dice.pick(&calls).unwrap_or_else(|| format!("{ROOT}/call/none"));
        let of = interface("Call");
        match dice.throw(12) {
            0 | 1 => ordinary(me.answer(&path).await)?,
            2 => ordinary(me.end(&path).await)?,
            3 => ordinary(me.hold(&path).await)?,
            4 => ordinary(me.unhold(&path).await)?,
            5 => {
                ordinary(me.call::<_, ()>(&path, "Call", "SetMuted", &(dice.throw(2) == 0,)).await)?
            }
            6 => ordinary(me.property(&path, "Call", "State").await)?,
            7 => {
                ordinary(me.call_at::<_, Changed>(NAME, &path, PROPERTIES, "GetAll", &(of,)).await)?
            }
            8 => ordinary(
                me.call_at::<_, String>(NAME, &path, INTROSPECTABLE, "Introspect", &()).await,
            )?,
            9 => {
                let start = ("sip:hatter@example.org", Options::new());
                ordinary(
                    me.call::<_, OwnedObjectPath>(ROOT, "Manager", "StartCall", &start).await,
                )?;
            }
            10 => {
                let swap = calls.iter().take(2).enumerate().map(|(n, call)| {
                    action("SetHeld", [("call", call.clone().into()), ("held", (n == 0).into())])
                });
                ordinary(me.request(&swap.collect::<Vec<_>>(), &Options::new()).await)?;
            }
            _ => {
                let ask = Message::method_call(&*path, "Answer").destination(NAME).interface(of);
                me.connection.send(&ask.build(&Options::new())?).await?;
                me = arbiter.bus.connect_as(user).await?;
            }
        }
    }
    Ok(())
}

/// One app: calls come and go, it refuses, forgets to answer, dies and comes back.
async fn provide(
    arbiter: &Arbiter,
    user: &str,
    app: &str,
    mut dice: Dice,
    turns: usize,
) -> Result<()> {
    let mut phone = FakeProvider::register_as(&arbiter.bus, user, app).await?;
    let mut calls = vec![];
    for _ in 0..turns {
        match dice.throw(10) {
            0..=3 => match phone.report_incoming("sip:rabbit@example.org").await {
                Ok(call) => calls.push(call.uuid),
                Err(error) => ensure!(error.to_string().contains("Busy"), "{error}"),
            },
            4 | 5 => {
                if let Some(uuid) = dice.pick(&calls) {
                    ordinary(phone.report_ended(&uuid, "remote-ended").await)?;
                }
            }
            6 => {
                if let Some(uuid) = dice.pick(&calls) {
                    let name = options([("display-name", format!("{}", dice.throw(100)).into())]);
                    ordinary(phone.tell::<_, ()>("UpdateCall", &(uuid, name)).await)?;
                }
            }
            7 => {
                if let Some(uuid) = dice.pick(&calls) {
                    let state = ["active", "held"][dice.throw(2)];
                    ordinary(
                        phone.tell::<_, ()>("ReportState", &(uuid, state, Options::new())).await,
                    )?;
                }
            }
            8 => {
                let member = ["PerformAnswer", "PerformSetHeld", "PerformEnd"][dice.throw(3)];
                let reply =
                    [Reply::Fulfil, Reply::Never, Reply::Fail("org.example.Error.No", "no")];
                phone.script(member, dice.pick(&reply).unwrap());
            }
            _ => {
                drop(phone);
                calls.clear();
                phone = back(arbiter, user, app).await?;
            }
        }
    }
    Ok(())
}

/// The bus may not have told yet that the one before is gone.
async fn back(arbiter: &Arbiter, user: &str, app: &str) -> Result<FakeProvider> {
    eventually("the app is back", async || {
        FakeProvider::register_as(&arbiter.bus, user, app).await.ok()
    })
    .await
}

#[tokio::test]
async fn signals_alone_tell_the_whole_truth() -> Result<()> {
    let quick = "[deadlines]\nanswer-ms = 300\nend-ms = 300\nset-held-ms = 300\nother-ms = 300\n\
        start-ms = 300\ngrace-ms = 300\naudio-grant-ms = 300\naudio-release-ms = 300\n\
        [limits]\nreports-per-second = 10000\n";
    let config = format!("{}{quick}", harness::ALLOW);
    let arbiter = Arbiter::on(harness::Bus::system().await?, &config).await?;
    let mut dice = Dice(seed());
    let mut alices = Observer::subscribe(&arbiter, "alice").await?;
    let mut bobs = Observer::subscribe(&arbiter, "bob").await?;
    let quiet = arbiter.bus.connect_as("carol").await?;
    quiet.view().await?;
    let turns = scaled(40);
    let mut dice = || Dice(dice.throw(usize::MAX) as u64);
    let (controls, apps): (Vec<_>, Vec<_>) = ["alice", "bob"]
        .iter()
        .flat_map(|user| (0..4).map(move |n| (*user, n)))
        .map(|(user, n)| {
            let app =
                ["org.example.One", "org.example.Two", "org.example.Three", "org.example.Four"][n];
            (control(&arbiter, user, dice(), turns), provide(&arbiter, user, app, dice(), turns))
        })
        .unzip();
    let (controls, apps) = tokio::join!(try_join_all(controls), try_join_all(apps));
    controls?;
    apps?;
    for (observer, user) in [(&mut alices, "alice"), (&mut bobs, "bob")] {
        observer.agrees(&arbiter.bus.connect_as(user).await?).await.context(user)?;
        println!("{user}: {} changes", observer.known.revision);
        ensure!(observer.known.revision > 100, "something went on");
    }
    // And carol, who watched all the while, knows of nothing.
    assert_eq!(quiet.view().await?.revision, 0);
    let heard = quiet
        .received()
        .iter()
        .filter(|m| m.header().path().is_some_and(|p| p.starts_with(ROOT)))
        .count();
    assert_eq!(heard, 0);
    Ok(())
}

#[tokio::test]
async fn replies_come_in_the_order_of_their_calls() -> Result<()> {
    let arbiter = Arbiter::on_system_bus().await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let call = phone.report_incoming("sip:rabbit@example.org").await?;
    let mut crowd = vec![];
    for _ in 0..4 {
        crowd.push(arbiter.bus.connect().await?);
    }
    let run = async |me: &Peer| -> Result<()> {
        for _ in 0..scaled(10) {
            let mut replies = MessageStream::from(&me.connection);
            let mut asked = vec![];
            for n in 0..60 {
                let ask = match n % 5 {
                    0 => Message::method_call(ROOT, "Subscribe").interface(interface("Manager")),
                    1 => Message::method_call(&*call.path, "Get").interface(PROPERTIES),
                    2 => Message::method_call(ROOT, "Introspect").interface(INTROSPECTABLE),
                    3 => Message::method_call(&*call.path, "Explode").interface(interface("Call")),
                    _ => Message::method_call(ROOT, "GetManagedObjects").interface(OBJECTS),
                };
                let ask = ask.destination(NAME);
                let ask = match n % 5 {
                    0 => ask.build(&Options::new())?,
                    1 => ask.build(&(interface("Call"), "State"))?,
                    _ => ask.build(&())?,
                };
                asked.push(ask.primary_header().serial_num());
                me.connection.send(&ask).await?;
            }
            let mut answered = vec![];
            while answered.len() < asked.len() {
                let message = replies.next().await.context("the bus is gone")??;
                answered.extend(message.header().reply_serial());
            }
            ensure!(answered == asked, "each once, in order");
        }
        Ok(())
    };
    for outcome in join_all(crowd.iter().map(run)).await {
        outcome?;
    }
    Ok(())
}
