//! A notification server that can do nothing but show text.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use futures_util::StreamExt;
use harness::{Bus, eventually};
use tokio::task::JoinHandle;
use zbus::{Connection, Message, MessageStream, OwnedVariant};

/// The number that it gives to everything.
const ID: u32 = 7;

pub struct PlainServer {
    shown: Arc<Mutex<Vec<Shown>>>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
pub struct Shown {
    pub replaces: u32,
    pub summary: String,
    pub body: String,
    pub actions: Vec<String>,
}

impl PlainServer {
    pub async fn start(bus: &Bus) -> Result<PlainServer> {
        let address = bus.address();
        let connection = zbus::connection::Builder::address(address.as_str()).build().await?;
        let (shown, stream) = (Arc::default(), MessageStream::from(&connection));
        let server = tokio::spawn(serve(connection.clone(), stream, Arc::clone(&shown)));
        connection.request_name("org.freedesktop.Notifications").await?;
        Ok(PlainServer { shown, server })
    }

    /// The `nth` that it showed, counted from 1.
    pub async fn wait_shown(&self, nth: usize) -> Result<Shown> {
        let nth = async || self.shown.lock().unwrap().get(nth - 1).cloned();
        eventually("a notification is shown", nth).await
    }

    /// The first one with these words.
    pub async fn wait_body(&self, words: &str) -> Result<Shown> {
        let has = |shown: &&Shown| shown.body.contains(words);
        eventually(words, async || self.shown.lock().unwrap().iter().find(has).cloned()).await
    }
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(connection: Connection, mut stream: MessageStream, shown: Arc<Mutex<Vec<Shown>>>) {
    while let Some(Ok(message)) = stream.next().await {
        let header = message.header();
        let answered = match header.member().map(|member| member.as_str()) {
            Some("GetCapabilities") => connection.reply(&header, &vec!["body"]).await,
            Some("Notify") => {
                shown.lock().unwrap().extend(read(&message));
                connection.reply(&header, &ID).await
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
    let (_, replaces, _, summary, body, actions, _, _): Notify =
        message.body().deserialize().ok()?;
    Some(Shown { replaces, summary, body, actions })
}
