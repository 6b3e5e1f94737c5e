//! What notification servers say of do-not-disturb, each in its own way.
//!
//! Owns those ways: dunst's `paused`, Plasma's `Inhibited`, the `Dnd` of swaync, and the modes of mako. A server
//! is never started for it.

use std::collections::HashMap;

use futures_util::{StreamExt, stream::SelectAll};
use zbus::{
    Connection, MatchRule, Message, MessageStream, OwnedVariant, fdo::DBusProxy, message::Type,
    names::BusName,
};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Interface and property, true for on; a server has one of them, or none.
const READ: [(&str, &str); 3] =
    [("org.dunstproject.cmd0", "paused"), (NAME, "Inhibited"), (NAME, "Dnd")];

/// Signals after which it may be another one: properties of dunst, Plasma and newer mako; swaync.
const TELLING: [&str; 4] = ["PropertiesChanged", "OnDndToggle", "Subscribe", "SubscribeV2"];

/// The server, whoever it is.
pub struct Servers {
    session: Connection,
    changes: SelectAll<MessageStream>,
    /// Modes of mako that mean it.
    modes: Vec<String>,
}

impl Servers {
    /// Follows the server of this session.
    pub async fn follow(session: &Connection, modes: Vec<String>) -> zbus::Result<Servers> {
        let bus = "org.freedesktop.DBus";
        let owner = MatchRule::builder().msg_type(Type::Signal).sender(bus).interface(bus);
        let owner = owner.member("NameOwnerChanged").arg(0, NAME).build()?;
        let mut rules = vec![owner];
        for member in TELLING {
            let told = MatchRule::builder().msg_type(Type::Signal).sender(NAME).member(member);
            rules.push(told.build()?);
        }
        let mut changes = SelectAll::new();
        for rule in rules {
            changes.push(MessageStream::for_match_rule(rule, session, None).await?);
        }
        Ok(Servers { session: session.clone(), changes, modes })
    }

    /// Waits until it may be another one; for ever, once the bus is gone.
    pub async fn changed(&mut self) {
        if self.changes.next().await.is_none() {
            std::future::pending().await
        }
    }

    /// Off where nothing says that it is on.
    pub async fn is_on(&self) -> bool {
        if !self.is_there().await.unwrap_or(false) {
            return false;
        }
        for (interface, property) in READ {
            // A server that has no such interface says so.
            let Some(all) = self.ask(PATH, PROPERTIES, "GetAll", &interface).await else {
                continue;
            };
            let all = all.body().deserialize::<HashMap<String, OwnedVariant>>().unwrap_or_default();
            if all.get(property) == Some(&OwnedVariant::from(true)) {
                return true;
            }
        }
        self.has_mode().await
    }

    async fn has_mode(&self) -> bool {
        let modes = self.ask("/fr/emersion/Mako", "fr.emersion.Mako", "ListModes", &()).await;
        let modes = modes.and_then(|modes| modes.body().deserialize::<Vec<String>>().ok());
        modes.unwrap_or_default().iter().any(|mode| self.modes.contains(mode))
    }

    async fn is_there(&self) -> Option<bool> {
        let bus = DBusProxy::new(&self.session).await.ok()?;
        bus.name_has_owner(BusName::try_from(NAME).ok()?).await.ok()
    }

    async fn ask<B>(&self, path: &str, interface: &str, member: &str, body: &B) -> Option<Message>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        self.session.call_method(Some(NAME), path, Some(interface), member, body).await.ok()
    }
}
