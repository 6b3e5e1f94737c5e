//! A notification server that shows text and no more if it is told so, that is inhibited as Plasma's, and that
//! gives tokens with its clicks, which none of the real ones here does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use futures_util::StreamExt;
use harness::{Bus, eventually};
use tokio::task::JoinHandle;
use zbus::{Connection, Message, MessageStream, OwnedVariant, Variant};

const NAME: &str = "org.freedesktop.Notifications";

/// The number that it gives to everything.
const ID: u32 = 7;

pub struct PlainServer {
    connection: Connection,
    inhibited: Arc<AtomicBool>,
    shown: Arc<Mutex<Vec<Shown>>>,
    server: JoinHandle<()>,
}

#[derive(Clone, Debug)]
pub struct Shown {
    pub replaces: u32,
    pub summary: String,
    pub body: String,
    pub actions: Vec<String>,
    pub hints: Arc<HashMap<String, OwnedVariant>>,
}

impl PlainServer {
    pub async fn start(bus: &Bus) -> Result<PlainServer> {
        PlainServer::able(bus, &["body"]).await
    }

    /// One with these capabilities.
    pub async fn able(bus: &Bus, abilities: &'static [&'static str]) -> Result<PlainServer> {
        let address = bus.address();
        let connection = zbus::connection::Builder::address(address.as_str()).build().await?;
        let (shown, inhibited) = (Arc::default(), Arc::default());
        let stream = MessageStream::from(&connection);
        let told = (Arc::clone(&shown), Arc::clone(&inhibited));
        let serve = serve(connection.clone(), stream, abilities, told);
        let server = tokio::spawn(serve);
        connection.request_name(NAME).await?;
        Ok(PlainServer { connection, inhibited, shown, server })
    }

    /// Do-not-disturb goes on or off.
    pub async fn inhibit(&self, on: bool) -> Result<()> {
        self.inhibited.store(on, Ordering::Relaxed);
        let changed = HashMap::from([("Inhibited", Variant::from(on))]);
        let body = (NAME, changed, Vec::<&str>::new());
        let (path, properties) =
            ("/org/freedesktop/Notifications", "org.freedesktop.DBus.Properties");
        let told =
            self.connection.emit_signal(None::<&str>, path, properties, "PropertiesChanged", &body);
        Ok(told.await?)
    }

    /// Somebody clicks on what it shows.
    pub async fn click(&self, key: &str, token: &str) -> Result<()> {
        for (member, word) in [("ActivationToken", token), ("ActionInvoked", key)] {
            let path = "/org/freedesktop/Notifications";
            self.connection.emit_signal(None::<&str>, path, NAME, member, &(ID, word)).await?;
        }
        Ok(())
    }

    /// The `nth` that it showed, counted from 1.
    pub async fn wait_shown(&self, nth: usize) -> Result<Shown> {
        let nth = async || self.shown.lock().unwrap().get(nth - 1).cloned();
        eventually("a notification is shown", nth).await
    }

    /// The first one with these words.
    pub async fn wait_body(&self, words: &str) -> Result<Shown> {
        self.wait(words, |shown| shown.body.contains(words)).await
    }

    /// The first one with this summary.
    pub async fn wait_summary(&self, summary: &str) -> Result<Shown> {
        self.wait(summary, |shown| shown.summary == summary).await
    }

    async fn wait(&self, what: &str, is_it: impl Fn(&Shown) -> bool) -> Result<Shown> {
        let found = || self.shown.lock().unwrap().iter().find(|shown| is_it(shown)).cloned();
        eventually(what, async || found()).await
    }
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    connection: Connection,
    mut stream: MessageStream,
    abilities: &[&str],
    (shown, inhibited): (Arc<Mutex<Vec<Shown>>>, Arc<AtomicBool>),
) {
    while let Some(Ok(message)) = stream.next().await {
        let header = message.header();
        let answered = match header.member().map(|member| member.as_str()) {
            Some("GetCapabilities") => connection.reply(&header, &abilities).await,
            Some("Notify") => {
                shown.lock().unwrap().extend(read(&message));
                connection.reply(&header, &ID).await
            }
            Some("GetAll") => {
                let of: String = message.body().deserialize().unwrap_or_default();
                let on = Variant::from(inhibited.load(Ordering::Relaxed));
                let all = (of == NAME).then_some(("Inhibited", on));
                connection.reply(&header, &HashMap::<_, _>::from_iter(all)).await
            }
            Some("CloseNotification") => connection.reply(&header, &()).await,
            _ => Ok(()),
        };
        if answered.is_err() {
            return;
        }
    }
}

type Notify =
    (String, u32, String, String, String, Vec<String>, HashMap<String, OwnedVariant>, i32);

fn read(message: &Message) -> Option<Shown> {
    let (_, replaces, _, summary, body, actions, hints, _): Notify =
        message.body().deserialize().ok()?;
    Some(Shown { replaces, summary, body, actions, hints: hints.into() })
}
