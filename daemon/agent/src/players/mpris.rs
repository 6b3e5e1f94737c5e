//! MPRIS: the players of the session, and the few words that they are told.
//!
//! Owns what counts as a player. A connection is one player however many names it has; mirrors of
//! players that are elsewhere are none.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use futures_util::future::join_all;
use serde::Serialize;
use tracing::debug;
use zbus::{
    Connection, DynamicType, MatchRule, Message, MessageStream, OwnedVariant, message::Type,
};

const NAME: &str = "org.mpris.MediaPlayer2.";
const PATH: &str = "/org/mpris/MediaPlayer2";
const APP: &str = "org.mpris.MediaPlayer2";
const PLAYER: &str = "org.mpris.MediaPlayer2.Player";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A player that takes longer is left alone: nobody waits for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// What a player says that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Playing,
    Paused,
    /// `Stopped`, or no word of MPRIS.
    Other,
}

/// One player.
pub struct Player {
    session: Connection,
    /// Its unique name: another player never has it.
    pub owner: String,
    names: Vec<String>,
}

/// A player as it is now.
pub struct Look {
    pub status: Status,
    pub can_pause: bool,
    desktop_entry: String,
}

/// All of the session.
pub async fn players(session: &Connection) -> zbus::Result<Vec<Player>> {
    let names: Vec<String> = ask_bus(session, "ListNames", &()).await?;
    let names: Vec<String> = names.into_iter().filter(|name| is_player(name)).collect();
    let owners = join_all(names.iter().map(|name| ask_bus(session, "GetNameOwner", name))).await;
    let mut players: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, owner) in names.into_iter().zip(owners) {
        // One that left meanwhile plays nothing.
        let Ok(owner) = owner else { continue };
        players.entry(owner).or_default().push(name);
    }
    let player = |(owner, names)| Player { names, ..Player::owned_by(session, owner) };
    Ok(players.into_iter().map(player).collect())
}

/// What players say from now on.
pub async fn changes(session: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .interface(PROPERTIES)
        .member("PropertiesChanged")
        .path(PATH)
        .arg(0, PLAYER)
        .build()?;
    MessageStream::for_match_rule(rule, session, None).await
}

/// Who says that it does what, if that is what a message says.
pub fn status_in(message: &Message) -> Option<(String, Status)> {
    let sender = message.header().sender()?.to_string();
    let body = message.body();
    let (_, mut changed, _): (String, HashMap<String, OwnedVariant>, Vec<String>) =
        body.deserialize().ok()?;
    Some((sender, status(&mut changed)?))
}

/// Phones and the like show their players here, and playerctld shows the others once more.
fn is_player(name: &str) -> bool {
    let Some(name) = name.strip_prefix(NAME) else { return false };
    let first = name.split('.').next().unwrap_or(name);
    !matches!(first, "kdeconnect" | "gsconnect" | "playerctld")
}

fn status(properties: &mut HashMap<String, OwnedVariant>) -> Option<Status> {
    let word = String::try_from(properties.remove("PlaybackStatus")?).ok()?;
    Some(match word.as_str() {
        "Playing" => Status::Playing,
        "Paused" => Status::Paused,
        _ => Status::Other,
    })
}

impl Player {
    /// The one with this unique name.
    pub fn owned_by(session: &Connection, owner: String) -> Player {
        Player { session: session.clone(), owner, names: Vec::new() }
    }

    /// What it says of itself; none if it says nothing in time, or is gone.
    pub async fn look(&self) -> Option<Look> {
        let all = async |interface: &str| {
            let reply = self.call(PROPERTIES, "GetAll", &interface).await?;
            reply.body().deserialize::<HashMap<String, OwnedVariant>>().ok()
        };
        let (player, app) = futures_util::future::join(all(PLAYER), all(APP)).await;
        let mut player = player?;
        let mut flag =
            |name| player.remove(name).is_some_and(|value| value == OwnedVariant::from(true));
        let can_pause = flag("CanPause") && flag("CanControl");
        let entry = app.and_then(|mut app| String::try_from(app.remove("DesktopEntry")?).ok());
        let status = status(&mut player).unwrap_or(Status::Other);
        Some(Look { status, can_pause, desktop_entry: entry.unwrap_or_default() })
    }

    /// Whether it is one of these apps: a calling app may be a player, too.
    pub fn is_one_of(&self, apps: &BTreeSet<&str>, look: &Look) -> bool {
        apps.iter().any(|app| {
            let short = app.rsplit('.').next().unwrap_or(app);
            look.desktop_entry.eq_ignore_ascii_case(app)
                || self.names.iter().filter_map(|name| name.strip_prefix(NAME)).any(|name| {
                    let first = name.split('.').next().unwrap_or(name);
                    name.eq_ignore_ascii_case(app) || first.eq_ignore_ascii_case(short)
                })
        })
    }

    pub async fn pause(&self) {
        self.call(PLAYER, "Pause", &()).await;
    }

    pub async fn play(&self) {
        self.call(PLAYER, "Play", &()).await;
    }

    async fn call<B>(&self, interface: &str, member: &str, body: &B) -> Option<Message>
    where
        B: Serialize + DynamicType,
    {
        let owner = Some(self.owner.as_str());
        let reply = self.session.call_method(owner, PATH, Some(interface), member, body);
        match tokio::time::timeout(ANSWER_WITHIN, reply).await {
            Ok(Ok(reply)) => Some(reply),
            Ok(Err(error)) => {
                debug!(%error, member, "a player refused");
                None
            }
            Err(_) => {
                debug!(member, "a player does not answer");
                None
            }
        }
    }
}

async fn ask_bus<B, R>(session: &Connection, member: &str, body: &B) -> zbus::Result<R>
where
    B: Serialize + DynamicType,
    R: serde::de::DeserializeOwned + zbus::Type,
{
    let (bus, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
    let reply = session.call_method(Some(bus), path, Some(bus), member, body).await?;
    reply.body().deserialize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_no_players() {
        for (name, is) in [
            ("org.mpris.MediaPlayer2.mpv", true),
            ("org.mpris.MediaPlayer2.mpv.instance12", true),
            ("org.mpris.MediaPlayer2.kdeconnect.mpris_1", false),
            ("org.mpris.MediaPlayer2.playerctld", false),
            ("org.gnome.Shell", false),
        ] {
            assert_eq!(is_player(name), is, "{name}");
        }
    }
}
