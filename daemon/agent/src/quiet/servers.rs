//! What notification servers say of do-not-disturb, each in its own way.
//!
//! Owns those ways: dunst's `paused`, Plasma's `Inhibited`, the `Dnd` of swaync, and the modes of mako. A server
//! is never started for it.

use std::collections::HashMap;

use futures_util::{StreamExt, stream::SelectAll};
use tracing::debug;
use zbus::{
    Connection, MatchRule, Message, MessageStream, OwnedVariant, fdo::DBusProxy, message::Type,
    names::BusName,
};

use super::mako::{self, Overheard};

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
    /// While it is a mako that does not tell.
    overheard: Option<Overheard>,
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
        Ok(Servers { session: session.clone(), changes, modes, overheard: None })
    }

    /// Waits until it may be another one; for ever, once the bus is gone.
    pub async fn changed(&mut self) {
        let overheard = async {
            match &mut self.overheard {
                Some(overheard) => overheard.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.changes.next() => if changed.is_none() {
                std::future::pending().await
            },
            () = overheard => {}
        }
    }

    /// Off where nothing says that it is on.
    pub async fn is_on(&mut self) -> bool {
        if !self.is_there().await.unwrap_or(false) {
            self.overheard = None;
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
        let Some(mut modes) = self.modes_of_mako().await else {
            self.overheard = None;
            return false;
        };
        if self.overheard.is_none() && !self.mako_tells().await {
            match Overheard::listen().await {
                Ok(overheard) => self.overheard = Some(overheard),
                Err(error) => debug!(%error, "mako is asked when a call comes, and not before"),
            }
            // What was changed before anybody listened.
            modes = self.modes_of_mako().await.unwrap_or_default();
        }
        modes.iter().any(|mode| self.modes.contains(mode))
    }

    async fn modes_of_mako(&self) -> Option<Vec<String>> {
        let modes = self.ask(mako::PATH, mako::INTERFACE, "ListModes", &()).await?;
        modes.body().deserialize().ok()
    }

    /// Newer ones have the modes as a property, too.
    async fn mako_tells(&self) -> bool {
        self.ask(mako::PATH, PROPERTIES, "Get", &(mako::INTERFACE, "Modes")).await.is_some()
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
