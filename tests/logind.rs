//! What the daemon makes of logind's words, also of late, missing and forged ones. The logind here is a
//! pretended one, for what a real one does not do on demand; the daemon meets the real one in
//! `tests/systemd`. Needs root, whose connection the pretended one is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    collections::HashMap,
    fs,
    io::Read,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use harness::{ALLOW, Arbiter, Bus, Daemon, FakeProvider, Peer, Reply, User, eventually};
use tokio::task::JoinHandle;
use zbus::{Fd, Message, MessageStream, ObjectPath, OwnedVariant, Variant, message::Type};

const LOGIND: &str = "org.freedesktop.login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

#[tokio::test]
async fn who_leaves_the_front_is_held_and_comes_back() -> Result<()> {
    let (arbiter, logind) = with_logind(&["alice", "bob"]).await?;
    let alice = Caller::speaks(&arbiter.bus, "alice").await?;
    let bob = Caller::rings(&arbiter.bus, "bob").await?;
    // Her session is in front.
    alice.phone.peer.wait_audio("granted").await?;
    logind.show("bob").await?;
    alice.is_held_by(&["seat"]).await?;
    bob.phone.peer.answer(&bob.call).await?;
    logind.show("alice").await?;
    alice.is_active().await?;
    bob.is_held_by(&["seat"]).await
}

#[tokio::test]
async fn sleep_waits_for_the_hold() -> Result<()> {
    let (arbiter, logind) = with_logind(&["alice"]).await?;
    let alice = Caller::speaks(&arbiter.bus, "alice").await?;
    alice.phone.script("PerformSetHeld", Reply::Never);
    let mut lock = logind.lock().await?;
    logind.prepare_for_sleep(true).await?;
    let hold = alice.phone.wait_asked("PerformSetHeld", 1).await?;
    assert!(!released(&mut lock), "it sleeps before the call is held");
    alice.phone.fulfil(&hold.request).await?;
    wait_released(&mut lock).await?;
    alice.is_held_by(&["suspend"]).await?;

    alice.phone.script("PerformSetHeld", Reply::Fulfil);
    logind.prepare_for_sleep(false).await?;
    alice.is_active().await?;
    assert!(!released(&mut logind.lock().await?), "the next sleep waits as well");
    Ok(())
}

#[tokio::test]
async fn sleep_does_not_wait_for_ever() -> Result<()> {
    let (arbiter, logind) = with_logind(&["alice"]).await?;
    let alice = Caller::speaks(&arbiter.bus, "alice").await?;
    alice.phone.script("PerformSetHeld", Reply::Never);
    let mut lock = logind.lock().await?;
    logind.prepare_for_sleep(true).await?;
    wait_released(&mut lock).await
}

#[tokio::test]
async fn one_that_is_silent_holds_nobody_up() -> Result<()> {
    let bus = system_bus().await?;
    let silent = bus.connect_as_self().await?;
    silent.bus::<_, u32>("RequestName", &(LOGIND, 4u32)).await?;
    let daemon = Daemon::start(&bus, ALLOW).await?;
    let arbiter = Arbiter { daemon, bus };
    Caller::speaks(&arbiter.bus, "alice").await?.is_active().await
}

#[tokio::test]
async fn nobody_but_root_is_logind() -> Result<()> {
    let bus = system_bus().await?;
    let forged = Logind::of(bus.connect_as("bob").await?, &["alice"]).await?;
    let daemon = Daemon::start(&bus, ALLOW).await?;
    let arbiter = Arbiter { daemon, bus };
    let alice = Caller::speaks(&arbiter.bus, "alice").await?;
    forged.prepare_for_sleep(true).await?;
    forged.show("bob").await?;
    // The daemon hears in order: after this it has heard that.
    forged.peer.view().await?;
    alice.is_active().await?;
    assert!(!alice.phone.asked().iter().any(|asked| asked.member == "PerformSetHeld"));
    let log = arbiter.daemon.process.log();
    assert!(log.contains("somebody else than root"), "{log}");
    Ok(())
}

/// A user's app with a call.
struct Caller {
    phone: FakeProvider,
    call: String,
}

impl Caller {
    async fn rings(bus: &Bus, user: &str) -> Result<Caller> {
        let phone = FakeProvider::register_as(bus, user, "org.example.Phone").await?;
        let call = phone.report_incoming("sip:rabbit@wonderland.example").await?.path;
        Ok(Caller { phone, call })
    }

    async fn speaks(bus: &Bus, user: &str) -> Result<Caller> {
        let caller = Caller::rings(bus, user).await?;
        caller.phone.peer.answer(&caller.call).await?;
        Ok(caller)
    }

    async fn is_active(&self) -> Result<()> {
        eventually("the call is active", async || {
            let state = self.phone.peer.state(&self.call).await.ok()?;
            (state == "active").then_some(())
        })
        .await
    }

    async fn is_held_by(&self, by: &[&str]) -> Result<()> {
        eventually(&format!("the call is held by {by:?}"), async || {
            let held = self.phone.peer.property(&self.call, "Call", "HeldBy").await.ok()?;
            (Vec::<String>::try_from(held).ok()? == by).then_some(())
        })
        .await
    }
}

async fn with_logind(users: &'static [&'static str]) -> Result<(Arbiter, Logind)> {
    let bus = system_bus().await?;
    let logind = Logind::of(bus.connect_as_self().await?, users).await?;
    let daemon = Daemon::start(&bus, ALLOW).await?;
    logind.lock().await?;
    eventually("it has asked about every session", async || {
        let asked = logind.shared.lock().unwrap().asked_sessions;
        (asked >= users.len()).then_some(())
    })
    .await?;
    Ok((Arbiter { daemon, bus }, logind))
}

/// With what logind's own policy would open on it, and the name for anybody: that is what is tried.
async fn system_bus() -> Result<Bus> {
    let bus = Bus::system().await?;
    let policy = format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"
        \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">
        <busconfig><policy context=\"default\"><allow own=\"{LOGIND}\"/>
        <allow send_destination=\"{LOGIND}\"/></policy></busconfig>"
    );
    fs::write(bus.directory().join("policy.d/logind.conf"), policy)?;
    let root = bus.connect_as_self().await?;
    root.bus::<_, ()>("ReloadConfig", &()).await?;
    Ok(bus)
}

/// A logind of one seat and a session for each of some users, the first of whom is in front.
struct Logind {
    peer: Peer,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    front: String,
    asked_sessions: usize,
    /// The other ends of the locks that it gave.
    locks: Vec<UnixStream>,
}

impl Logind {
    async fn of(peer: Peer, users: &'static [&'static str]) -> Result<Logind> {
        let front = users.first().unwrap().to_string();
        let shared = Arc::new(Mutex::new(Shared { front, ..Shared::default() }));
        let server = tokio::spawn(serve(peer.connection.clone(), users, shared.clone()));
        peer.bus::<_, u32>("RequestName", &(LOGIND, 4u32)).await?;
        Ok(Logind { peer, shared, server })
    }

    /// Another user's session comes to the front.
    async fn show(&self, user: &str) -> Result<()> {
        let left = std::mem::replace(&mut self.shared.lock().unwrap().front, user.to_owned());
        for user in [left.as_str(), user] {
            let none: HashMap<&str, Variant<'_>> = HashMap::new();
            let changed =
                Message::signal(path(user), "org.freedesktop.DBus.Properties", "PropertiesChanged")
                    .build(&(SESSION, none, ["Active"].as_slice()))?;
            self.peer.connection.send(&changed).await?;
        }
        Ok(())
    }

    async fn prepare_for_sleep(&self, sleep: bool) -> Result<()> {
        let signal = Message::signal("/org/freedesktop/login1", MANAGER, "PrepareForSleep");
        Ok(self.peer.connection.send(&signal.build(&sleep)?).await?)
    }

    /// Our end of the newest lock that the daemon holds.
    async fn lock(&self) -> Result<UnixStream> {
        eventually("the daemon holds a lock", async || {
            let shared = self.shared.lock().unwrap();
            let mut lock = shared.locks.last()?.try_clone().ok()?;
            (!released(&mut lock)).then_some(lock)
        })
        .await
    }
}

impl Drop for Logind {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    connection: zbus::Connection,
    users: &'static [&'static str],
    shared: Arc<Mutex<Shared>>,
) {
    let mut calls = MessageStream::from(&connection);
    while let Some(Ok(call)) = calls.next().await {
        if call.message_type() != Type::MethodCall {
            continue;
        }
        let reply = answer(&call, users, &mut shared.lock().unwrap());
        if let Ok(Some(reply)) = reply {
            let _ = connection.send(&reply).await;
        }
    }
}

fn answer(call: &Message, users: &[&str], shared: &mut Shared) -> Result<Option<Message>> {
    let header = call.header();
    let member = header.member().context("a call has a member")?.as_str();
    let reply = || Message::method_return(&header);
    Ok(Some(match member {
        "ListSessions" => {
            let all = users.iter().map(|user| (*user, uid(user), *user, "seat0", path(user)));
            reply().build(&all.collect::<Vec<_>>())?
        }
        "GetAll" => {
            shared.asked_sessions += 1;
            let user = header.path().unwrap().rsplit('/').next().unwrap().to_owned();
            let nowhere = ObjectPath::try_from("/")?;
            let active = shared.front == user;
            reply().build(&HashMap::from([
                ("User", Variant::from((uid(&user), nowhere.clone()))),
                ("Seat", Variant::from(("seat0", nowhere))),
                ("Class", Variant::from("user")),
                ("Active", Variant::from(active)),
                ("State", Variant::from(if active { "active" } else { "online" })),
            ]))?
        }
        "Get" => reply().build(&OwnedVariant::from(false))?,
        "Inhibit" => {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            shared.locks.push(ours);
            reply().build(&Fd::from(OwnedFd::from(theirs)))?
        }
        _ => return Ok(None),
    }))
}

fn path(user: &str) -> ObjectPath<'static> {
    ObjectPath::try_from(format!("/org/freedesktop/login1/session/{user}")).unwrap()
}

fn uid(user: &str) -> u32 {
    User::named(user).unwrap().uid
}

/// The daemon has closed its end.
fn released(lock: &mut UnixStream) -> bool {
    lock.read(&mut [0]).is_ok_and(|read| read == 0)
}

async fn wait_released(lock: &mut UnixStream) -> Result<()> {
    eventually("the lock is released", async || released(lock).then_some(())).await
}
