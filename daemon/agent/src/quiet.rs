//! Do-not-disturb: what the notification server says of it, the arbiter is told.
//!
//! Owns where it is read: dunst's `paused` and Plasma's `Inhibited`, both properties of the notification
//! server, which tells of every change. What follows for calls, the arbiter decides.

use std::collections::HashMap;

use callarbiter::Change;
use futures_util::{StreamExt, stream::SelectAll};
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{info, warn};
use zbus::{
    Connection, MatchRule, MessageStream, OwnedVariant, fdo::DBusProxy, message::Type,
    names::BusName,
};

use crate::{arbiter::Desk, scene::Told};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Interface and property; a server has one of them, or none.
const READ: [(&str, &str); 2] = [("org.dunstproject.cmd0", "paused"), (NAME, "Inhibited")];

/// Until it is told nothing any more; the arbiter forgets it with the role. `silently`: calls are shown
/// without a sound instead of being refused.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    desk: Desk,
    silently: bool,
) {
    let mut changes = match changes(&session).await {
        Ok(changes) => changes,
        Err(error) => return warn!(%error, "do-not-disturb cannot be read"),
    };
    // What this arbiter was told last.
    let mut known = None;
    loop {
        tokio::select! {
            biased;
            next = told.recv() => match next {
                None => return,
                // Another arbiter, or the same without its memory: it is told again.
                Some(Told { change: Change::ArbiterBack | Change::Resynced, .. }) => known = None,
                Some(_) => continue,
            },
            change = changes.next() => if change.is_none() { return },
        }
        let on = is_on(&session).await;
        if known != Some(on) {
            match desk.set_do_not_disturb(on, silently).await {
                Ok(()) => info!(on, "do-not-disturb"),
                Err(error) => warn!("the arbiter was not told of do-not-disturb: {error}"),
            }
        }
        known = Some(on);
    }
}

async fn changes(session: &Connection) -> zbus::Result<SelectAll<MessageStream>> {
    let bus = "org.freedesktop.DBus";
    let owner = MatchRule::builder().msg_type(Type::Signal).sender(bus).interface(bus);
    let owner = owner.member("NameOwnerChanged").arg(0, NAME).build()?;
    let changed = MatchRule::builder().msg_type(Type::Signal).sender(NAME).path(PATH);
    let changed = changed.interface(PROPERTIES).member("PropertiesChanged").build()?;
    let mut changes = SelectAll::new();
    for rule in [owner, changed] {
        changes.push(MessageStream::for_match_rule(rule, session, None).await?);
    }
    Ok(changes)
}

/// Off where nothing says that it is on. A server is not started for it.
async fn is_on(session: &Connection) -> bool {
    let there = async || {
        let bus = DBusProxy::new(session).await.ok()?;
        bus.name_has_owner(BusName::try_from(NAME).ok()?).await.ok()
    };
    if there().await != Some(true) {
        return false;
    }
    for (interface, property) in READ {
        let all =
            session.call_method(Some(NAME), PATH, Some(PROPERTIES), "GetAll", &interface).await;
        // A server that has no such interface says so.
        let Ok(all) = all else { continue };
        let all = all.body().deserialize::<HashMap<String, OwnedVariant>>().unwrap_or_default();
        if all.get(property) == Some(&OwnedVariant::from(true)) {
            return true;
        }
    }
    false
}
