//! The bus policy that we ship, on a real dbus-daemon of type system: who may own the name, who may
//! speak to whom. What the daemon itself decides is not looked at here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use anyhow::Result;
use harness::{Arbiter, Bus, NAME, Options, Peer, ROOT, interface};
use zbus::Message;
use zbus::message::Flags;

const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const DELEGATE: &str = "org.callarbiter.Calls1.ProviderDelegate";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
const INTERFACES: [&str; 6] =
    ["Manager", "Provider", "Call", "Group", "Transaction", "AudioSession"];

#[tokio::test]
async fn only_the_daemons_user_owns_the_name() -> Result<()> {
    let bus = Bus::system().await?;
    for user in ["alice", "bob", "root"] {
        let thief = bus.connect_as(user).await?;
        let refused = thief.bus::<_, u32>("RequestName", &(NAME, 0u32)).await.unwrap_err();
        assert_eq!(refused.name, DENIED, "{user}: {refused}");
    }
    let daemon = bus.connect_as("callarbiter").await?;
    assert_eq!(daemon.bus::<_, u32>("RequestName", &(NAME, 0u32)).await?, 1);
    Ok(())
}

#[tokio::test]
async fn dbus_daemon_finds_nothing_wrong_with_the_policy_file() -> Result<()> {
    let bus = Bus::system().await?;
    bus.connect_as("alice").await?;
    assert_eq!(
        bus.complaints(),
        [""; 0],
        "a mistake in the file makes dbus-daemon ignore all of it"
    );
    // That it would have been seen:
    let trap = r#"<busconfig><policy user="root"><allow send_member="Ping"/></policy></busconfig>"#;
    let trapped = Bus::system_with_policy(trap).await?;
    assert_ne!(trapped.complaints(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn forged_signals_do_not_pass() -> Result<()> {
    let bus = Bus::system().await?;
    let (victim, forger) = (bus.connect_as("alice").await?, bus.connect_as("bob").await?);
    let daemon = bus.connect_as("callarbiter").await?;
    let own_kind = INTERFACES.map(|short| (format!("{ROOT}/call/1"), interface(short)));
    let root_kind = [PROPERTIES, OBJECTS].map(|of| (ROOT.to_owned(), of.to_owned()));
    for (path, of) in own_kind.iter().chain(&root_kind) {
        send_signal(&forger, &victim, path, of).await?;
        send_signal(&daemon, &victim, path, of).await?;
    }
    // The bus keeps order: once the last true one is there, a forged one before it would be, too.
    let (_, last) = root_kind.last().unwrap();
    victim.expect("the last true signal", |m| is_from(m, &daemon) && of(m) == *last).await?;
    let received = victim.received();
    let forged = received.iter().filter(|m| is_from(m, &forger)).count();
    assert_eq!(forged, 0, "forged signals reached their victim");
    let tried = own_kind.len() + root_kind.len();
    assert_eq!(received.iter().filter(|m| is_from(m, &daemon)).count(), tried);
    Ok(())
}

#[tokio::test]
async fn delegates_hear_the_daemon_only() -> Result<()> {
    let bus = Bus::system().await?;
    let (delegate, forger) = (bus.connect_as("alice").await?, bus.connect_as("bob").await?);
    let daemon = bus.connect_as("callarbiter").await?;
    let arguments = ("request", "uuid", Options::new());
    let to = delegate.name();
    let refused =
        forger.call_at::<_, ()>(&to, "/delegate", DELEGATE, "PerformAnswer", &arguments).await;
    assert_eq!(refused.unwrap_err().name, DENIED);
    for (of, member) in [(DELEGATE, "Reset"), ("org.freedesktop.DBus.Peer", "Ping")] {
        let message = Message::method_call("/delegate", member)
            .destination(to.as_str())
            .interface(of)
            .with_flags(Flags::NO_REPLY_EXPECTED)
            .build(&())?;
        daemon.connection.send(&message).await?;
        delegate.expect(member, |m| is_from(m, &daemon) && self::of(m) == of).await?;
    }
    Ok(())
}

#[tokio::test]
async fn other_services_are_not_affected() -> Result<()> {
    let bus = Bus::system().await?;
    let (alice, bob) = (bus.connect_as("alice").await?, bus.connect_as("bob").await?);
    let innocent = Message::signal("/org/example", "org.example.Weather", "Changed")
        .destination(alice.name())
        .build(&())?;
    bob.connection.send(&innocent).await?;
    alice.expect("a signal of another service", |m| of(m) == "org.example.Weather").await?;
    Ok(())
}

#[tokio::test]
async fn three_users_speak_with_the_daemon() -> Result<()> {
    let arbiter = Arbiter::on_system_bus().await?;
    for user in ["alice", "bob", "carol"] {
        let peer = arbiter.bus.connect_as(user).await?;
        peer.view().await?;
        peer.property(ROOT, "Manager", "Version").await?;
        for (of, member) in [("Introspectable", "Introspect"), ("Peer", "Ping")] {
            let of = format!("org.freedesktop.DBus.{of}");
            let call =
                peer.connection.call_method(Some(NAME), ROOT, Some(of.as_str()), member, &());
            call.await?;
        }
        // Opened to nobody, so the bus itself refuses it.
        let refused = peer.call_at::<_, ()>(NAME, ROOT, "org.example.Other", "Anything", &()).await;
        assert_eq!(refused.unwrap_err().name, DENIED);
    }
    assert_eq!(arbiter.bus.complaints(), [""; 0]);
    Ok(())
}

async fn send_signal(from: &Peer, to: &Peer, path: &str, of: &str) -> Result<()> {
    let signal = Message::signal(path, of, "Forged").destination(to.name()).build(&())?;
    Ok(from.connection.send(&signal).await?)
}

fn is_from(message: &Message, peer: &Peer) -> bool {
    message.header().sender().is_some_and(|sender| sender.as_str() == peer.name())
}

fn of(message: &Message) -> String {
    message.header().interface().map(ToString::to_string).unwrap_or_default()
}
