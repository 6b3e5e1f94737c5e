//! An app as the desktop sees it: it is on the session bus, and comes to the front when it is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use futures_util::StreamExt;
use harness::eventually;
use tokio::task::JoinHandle;
use zbus::message::Type;
use zbus::{MessageStream, OwnedVariant};

use crate::desk::Desk;

pub struct Window {
    raised: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Window {
    pub async fn of(desk: &Desk, app: &str) -> Result<Window> {
        let address = desk.bus().address();
        let connection = zbus::connection::Builder::address(address.as_str()).build().await?;
        let mut stream = MessageStream::from(&connection);
        connection.request_name(app.to_owned()).await?;
        let raised = Arc::<Mutex<Vec<String>>>::default();
        let path = format!("/{}", app.replace('.', "/"));
        let heard = raised.clone();
        let server = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let header = message.header();
                let member = header.member().map(|member| member.as_str());
                let mine = header.path().is_some_and(|at| at.as_str() == path);
                if message.message_type() != Type::MethodCall || member != Some("Activate") || !mine
                {
                    continue;
                }
                let how: HashMap<String, OwnedVariant> =
                    message.body().deserialize().unwrap_or_default();
                let mut words: Vec<String> = how
                    .into_iter()
                    .map(|(key, value)| {
                        format!("{key}: {}", String::try_from(value).unwrap_or_default())
                    })
                    .collect();
                words.sort();
                heard.lock().unwrap().push(words.join(", "));
                let _ = connection.reply(&header, &()).await;
            }
        });
        Ok(Window { raised, server })
    }

    /// Waits until it was asked with these words.
    pub async fn wait_raised(&self, words: &str) -> Result<()> {
        let asked = async || {
            self.raised.lock().unwrap().iter().any(|how| how.contains(words)).then_some(())
        };
        eventually(&format!("the app comes to the front with {words:?}"), asked).await
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.server.abort();
    }
}
