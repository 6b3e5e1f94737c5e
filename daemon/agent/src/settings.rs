//! The desktop's settings (GSettings), without its C library.
//!
//! Owns how one is read, with defaults and what the administrator locked: by the program `gsettings`; and how a
//! change is noticed: dconf tells of it on the session bus. Where there is neither, nothing is set.

use std::{process::Stdio, time::Duration};

use futures_util::StreamExt;
use tokio::{process::Command, time::timeout};
use tracing::{debug, warn};
use zbus::{Connection, MatchRule, Message, MessageStream, message::Type};

/// How long `gsettings` may take.
const READ_WITHIN: Duration = Duration::from_secs(3);

/// A setting, and every change of it.
pub struct Watched {
    schema: &'static str,
    key: &'static str,
    /// As GVariant prints it.
    value: Option<String>,
    changes: Option<MessageStream>,
    /// It changed and was not read since.
    stale: bool,
}

impl Watched {
    /// As it is now, and from now on.
    pub async fn follow(session: &Connection, schema: &'static str, key: &'static str) -> Watched {
        let mut watched = Watched { schema, key, value: None, changes: None, stale: false };
        match changes(session).await {
            Ok(changes) => watched.changes = Some(changes),
            Err(error) => warn!(%error, "changes of the desktop's settings are not seen"),
        }
        watched.value = watched.read().await;
        watched
    }

    /// Where it is text.
    pub fn text(&self) -> Option<&str> {
        let text = self.value.as_deref()?.strip_prefix('\'')?.strip_suffix('\'')?;
        (!text.is_empty()).then_some(text)
    }

    /// Where it is a flag.
    pub fn flag(&self) -> Option<bool> {
        self.value.as_deref()?.parse().ok()
    }

    /// Waits until it is another one.
    pub async fn changed(&mut self) {
        loop {
            while !self.stale {
                let message = next(&mut self.changes).await;
                let words = message.body().deserialize::<(String, Vec<String>, String)>();
                self.stale = words.is_ok_and(|(prefix, ..)| self.is_below(&prefix));
            }
            let value = self.read().await;
            self.stale = false;
            if value != self.value {
                self.value = value;
                return;
            }
        }
    }

    /// Whether a change of this key, or of keys below this directory, may be one of ours.
    fn is_below(&self, changed: &str) -> bool {
        let key = format!("/{}/{}", self.schema.replace('.', "/"), self.key);
        match changed.ends_with('/') {
            true => key.starts_with(changed),
            false => key == changed,
        }
    }

    async fn read(&self) -> Option<String> {
        let mut gsettings = Command::new("gsettings");
        gsettings.args(["get", self.schema, self.key]).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(READ_WITHIN, gsettings.output()).await.ok()?;
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    }
}

/// The next change of any setting; never, where there is nobody to tell.
async fn next(changes: &mut Option<MessageStream>) -> Message {
    while let Some(stream) = changes {
        match stream.next().await {
            Some(Ok(message)) => return message,
            Some(Err(error)) => debug!(%error, "a change of a setting cannot be read"),
            None => *changes = None,
        }
    }
    std::future::pending().await
}

async fn changes(session: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder().msg_type(Type::Signal).interface("ca.desrt.dconf.Writer");
    let rule = rule.member("Notify").path("/ca/desrt/dconf/Writer/user").build()?;
    MessageStream::for_match_rule(rule, session, None).await
}
