//! A media player that does as a test wants: honest, lying, or somebody else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use futures_util::StreamExt;
use harness::{Bus, eventually};
use tokio::task::JoinHandle;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, Variant};

const PATH: &str = "/org/mpris/MediaPlayer2";
const PLAYER: &str = "org.mpris.MediaPlayer2.Player";

pub struct FakePlayer {
    connection: Connection,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// How it differs from an ordinary player.
#[derive(Clone, Default)]
pub struct Nature {
    pub cannot_pause: bool,
    /// It says Playing whatever it does.
    pub lies: bool,
    pub desktop_entry: &'static str,
}

struct Shared {
    nature: Nature,
    status: Mutex<&'static str>,
    told: Mutex<Vec<String>>,
}

impl FakePlayer {
    /// A player that plays, with these names after `org.mpris.MediaPlayer2.`.
    pub async fn playing(bus: &Bus, names: &[&str], nature: Nature) -> Result<FakePlayer> {
        let address = bus.address();
        let connection = zbus::connection::Builder::address(address.as_str()).build().await?;
        let (status, told) = (Mutex::new("Playing"), Mutex::default());
        let shared = Arc::new(Shared { nature, status, told });
        let stream = MessageStream::from(&connection);
        let server = tokio::spawn(shared.clone().serve(connection.clone(), stream));
        for name in names {
            connection.request_name(format!("org.mpris.MediaPlayer2.{name}")).await?;
        }
        Ok(FakePlayer { connection, shared, server })
    }

    /// What it was told to do so far: `Pause`, `Play`.
    pub fn told(&self) -> Vec<String> {
        self.shared.told.lock().unwrap().clone()
    }

    pub async fn wait_told(&self, words: &[&str]) -> Result<()> {
        let what = format!("the player was told {words:?}, not {:?}", self.told());
        eventually(&what, async || (self.told() == words).then_some(())).await
    }

    /// Somebody presses its button.
    pub async fn press(&self, status: &'static str) -> Result<()> {
        Ok(self.shared.turn(&self.connection, status).await?)
    }
}

impl Drop for FakePlayer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, connection: Connection, mut stream: MessageStream) {
        while let Some(Ok(message)) = stream.next().await {
            if message.message_type() == Type::MethodCall {
                // A caller that left is not this player's trouble.
                let _ = self.answer(&connection, &message).await;
            }
        }
    }

    async fn answer(&self, connection: &Connection, message: &Message) -> zbus::Result<()> {
        let header = message.header();
        match header.member().map(|member| member.as_str()) {
            Some("GetAll") => {
                let interface: String = message.body().deserialize()?;
                connection.reply(&header, &self.properties(&interface)).await
            }
            Some(told @ ("Pause" | "Play")) => {
                self.told.lock().unwrap().push(told.to_owned());
                let status = if told == "Pause" { "Paused" } else { "Playing" };
                if !self.nature.lies {
                    self.turn(connection, status).await?;
                }
                connection.reply(&header, &()).await
            }
            _ => Ok(()),
        }
    }

    fn properties(&self, interface: &str) -> HashMap<&'static str, Variant<'static>> {
        if interface != PLAYER {
            return HashMap::from([("DesktopEntry", self.nature.desktop_entry.into())]);
        }
        let status = *self.status.lock().unwrap();
        HashMap::from([
            ("PlaybackStatus", status.into()),
            ("CanPause", (!self.nature.cannot_pause).into()),
            ("CanControl", true.into()),
        ])
    }

    async fn turn(&self, connection: &Connection, status: &'static str) -> zbus::Result<()> {
        *self.status.lock().unwrap() = status;
        let changed = HashMap::from([("PlaybackStatus", Variant::from(status))]);
        let body = (PLAYER, changed, Vec::<&str>::new());
        let properties = "org.freedesktop.DBus.Properties";
        connection.emit_signal(None::<&str>, PATH, properties, "PropertiesChanged", &body).await
    }
}
