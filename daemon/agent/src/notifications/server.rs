//! The notification server of the session, `org.freedesktop.Notifications`.
//!
//! Owns how it is spoken to, and what it can: markup, buttons. What is shown is decided elsewhere.

use std::collections::HashMap;

use futures_util::{StreamExt, stream::SelectAll};
use zbus::{Connection, MatchRule, Message, MessageStream, Variant, message::Type};

use super::words::Note;

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// The server, whoever it is.
pub struct Server {
    session: Connection,
    messages: SelectAll<MessageStream>,
    /// What the one that is there now can do, once it was asked.
    abilities: Option<Vec<String>>,
}

/// What a server says.
#[derive(Debug, PartialEq)]
pub enum Word {
    /// Another one; nothing that was shown is shown any more.
    Restarted,
    /// The user is about to press a button of this note, and may see a window for it.
    Token(u32, String),
    /// A button was pressed.
    Pressed(u32, String),
    /// A notification is gone.
    Closed(u32),
}

impl Server {
    /// Follows the server of this session.
    pub async fn follow(session: &Connection) -> zbus::Result<Server> {
        let bus = "org.freedesktop.DBus";
        let owner = MatchRule::builder().msg_type(Type::Signal).sender(bus).interface(bus);
        let owner = owner.member("NameOwnerChanged").arg(0, NAME).build()?;
        let words = MatchRule::builder().msg_type(Type::Signal).sender(NAME).interface(NAME);
        let words = words.path(PATH).build()?;
        let mut messages = SelectAll::new();
        for rule in [owner, words] {
            messages.push(MessageStream::for_match_rule(rule, session, None).await?);
        }
        Ok(Server { session: session.clone(), messages, abilities: None })
    }

    /// The next word; never, once the bus is gone.
    pub async fn next(&mut self) -> Word {
        loop {
            match self.messages.next().await {
                Some(Ok(message)) => {
                    if let Some(word) = word(&message) {
                        if word == Word::Restarted {
                            self.abilities = None;
                        }
                        return word;
                    }
                }
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Whether it shows buttons; none where no server is there yet.
    pub async fn has_buttons(&mut self) -> Option<bool> {
        let abilities = self.abilities().await.ok()?;
        Some(abilities.iter().any(|known| known == "actions"))
    }

    async fn abilities(&mut self) -> zbus::Result<&[String]> {
        if self.abilities.is_none() {
            let reply = self.call("GetCapabilities", &()).await?;
            self.abilities = Some(reply.body().deserialize()?);
        }
        Ok(self.abilities.as_deref().unwrap_or_default())
    }

    /// Shows a note, in the place of this one.
    pub async fn show(&mut self, note: &Note, replaces: u32) -> zbus::Result<u32> {
        let abilities = self.abilities().await?;
        let can = |ability: &str| abilities.iter().any(|known| known == ability);
        let body = if can("body-markup") { escaped(&note.body) } else { note.body.clone() };
        let buttons: Vec<&str> = match can("actions") {
            true => note.buttons.iter().flat_map(|(key, label)| [*key, *label]).collect(),
            false => vec![],
        };
        let hints = HashMap::from([
            ("urgency", Variant::from(note.urgency)),
            ("category", Variant::from(note.category)),
            ("desktop-entry", Variant::from(note.desktop_entry.as_str())),
            ("resident", Variant::from(note.lasting)),
            // The agent rings, or whoever took that from it.
            ("suppress-sound", Variant::from(note.lasting && note.category.starts_with("call"))),
        ]);
        let lasts: i32 = if note.lasting { 0 } else { -1 };
        let (app, icon, summary) = (&note.app, &note.icon, &note.summary);
        let what = (app, replaces, icon, summary, body, buttons, hints, lasts);
        self.call("Notify", &what).await?.body().deserialize()
    }

    /// Takes a note away, if it is still there.
    pub async fn close(&self, id: u32) {
        let _ = self.call("CloseNotification", &id).await;
    }

    async fn call<B>(&self, member: &str, body: &B) -> zbus::Result<Message>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        self.session.call_method(Some(NAME), PATH, Some(NAME), member, body).await
    }
}

fn word(message: &Message) -> Option<Word> {
    let body = message.body();
    match message.header().member()?.as_str() {
        "NameOwnerChanged" => {
            let (_, _, new): (String, String, String) = body.deserialize().ok()?;
            (!new.is_empty()).then_some(Word::Restarted)
        }
        "ActionInvoked" => {
            let (id, key) = body.deserialize().ok()?;
            Some(Word::Pressed(id, key))
        }
        "ActivationToken" => {
            let (id, token) = body.deserialize().ok()?;
            Some(Word::Token(id, token))
        }
        "NotificationClosed" => {
            let (id, _why): (u32, u32) = body.deserialize().ok()?;
            Some(Word::Closed(id))
        }
        _ => None,
    }
}

/// For a server that reads markup: what callers call themselves is never any.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_callers_name_is_markup() {
        assert_eq!(escaped("<b>R&D</b>"), "&lt;b&gt;R&amp;D&lt;/b&gt;");
    }
}
