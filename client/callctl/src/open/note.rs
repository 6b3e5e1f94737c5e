//! The question about a link that was clicked, as a notification with buttons, and what became of it.
//!
//! Owns how the notification server of the session is asked. Only a button starts a call: a server without
//! buttons, a note that is closed or that nobody looks at starts none.

use std::{collections::HashMap, time::Duration};

use futures_util::StreamExt;
use tokio::time::timeout;
use zbus::{Connection, MatchRule, Message, MessageStream, Variant, message::Type};

use super::{Link, Way};
use crate::failure::Failure;

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// Who clicked a link looks at the screen; a question from an hour ago is a trap.
const PATIENCE: Duration = Duration::from_secs(60);

/// More buttons than servers have room for.
const BUTTONS: usize = 3;

/// The buttons, by which a server names them.
const CALL: &str = "call";
const WITH: &str = "with:";

/// What a server says of itself that it has buttons.
const ACTIONS: &str = "actions";

/// Asks; the answer is the app to call with, or none where the arbiter chooses.
pub async fn ask(link: &Link, ways: &[Way]) -> Result<Option<String>, Failure> {
    let session = Connection::session().await.map_err(unasked)?;
    let abilities: Vec<String> = call(&session, "GetCapabilities", &()).await.map_err(unasked)?;
    if !abilities.iter().any(|known| known == ACTIONS) {
        return Err(Failure::refused(format!(
            "the notifications of this desktop have no buttons to ask with; call by: callctl start {}",
            link.handle
        )));
    }
    let rule = MatchRule::builder().msg_type(Type::Signal).sender(NAME).interface(NAME).build();
    let rule = rule.map_err(unasked)?;
    let words = MessageStream::for_match_rule(rule, &session, None).await.map_err(unasked)?;
    let id = show(&session, &question(link, ways), "", &buttons(ways)).await.map_err(unasked)?;
    let answer = timeout(PATIENCE, answered(words, id)).await;
    // Not every server puts away what was answered, or is too old.
    let _ = call::<_, ()>(&session, "CloseNotification", &id).await;
    let key = answer
        .map_err(|_| Failure::refused("nobody said within a minute that the call is wanted"))?;
    match key.as_deref() {
        Some(CALL) => Ok(ways.first().map(|way| way.app.clone())),
        Some(key) => match key.strip_prefix(WITH) {
            Some(app) => Ok(Some(app.to_owned())),
            None => Err(Failure::refused("nobody was called")),
        },
        None => Err(Failure::refused("nobody was called")),
    }
}

/// The button; none when the note was closed.
async fn answered(mut words: MessageStream, id: u32) -> Option<String> {
    while let Some(word) = words.next().await {
        match word.ok().as_ref().and_then(pressed) {
            Some((about, key)) if about == id => return key,
            _ => {}
        }
    }
    None
}

/// Says what became of it.
pub async fn tell(summary: &str, body: &str) -> zbus::Result<()> {
    let session = Connection::session().await?;
    show(&session, summary, body, &[]).await.map(drop)
}

fn question(link: &Link, ways: &[Way]) -> String {
    match ways {
        [way] => format!("Call {} with {}?", link.handle, way.title()),
        _ => format!("Call {}?", link.handle),
    }
}

/// Keys and labels. Cancel stands first: it is what a hasty click hits.
fn buttons(ways: &[Way]) -> Vec<(String, String)> {
    let mut buttons = vec![("cancel".to_owned(), "Cancel".to_owned())];
    match ways {
        [] | [_] => buttons.push((CALL.to_owned(), "Call".to_owned())),
        several => {
            let alike = |way: &Way| several.iter().filter(|other| other.name == way.name).count();
            let label = |way: &Way| match alike(way) {
                1 => format!("Call with {}", way.name),
                _ => format!("Call with {} ({})", way.name, way.app),
            };
            let with = |way: &Way| (format!("{WITH}{}", way.app), label(way));
            buttons.extend(several.iter().take(BUTTONS).map(with));
        }
    }
    buttons
}

async fn show(
    session: &Connection,
    summary: &str,
    body: &str,
    buttons: &[(String, String)],
) -> zbus::Result<u32> {
    let body = body.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let buttons: Vec<&str> =
        buttons.iter().flat_map(|(key, label)| [key.as_str(), label.as_str()]).collect();
    let hints = HashMap::from([
        ("desktop-entry", Variant::from("org.callarbiter.callctl")),
        ("category", Variant::from("call")),
    ]);
    let lasts = i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX);
    let what = ("Calls", 0_u32, "call-start", summary, body, buttons, hints, lasts);
    call(session, "Notify", &what).await
}

async fn call<B, R>(session: &Connection, member: &str, body: &B) -> zbus::Result<R>
where
    B: serde::Serialize + zbus::DynamicType,
    R: serde::de::DeserializeOwned + zbus::Type,
{
    session.call_method(Some(NAME), PATH, Some(NAME), member, body).await?.body().deserialize()
}

/// The note and the button; no button when it was closed.
fn pressed(message: &Message) -> Option<(u32, Option<String>)> {
    let body = message.body();
    match message.header().member()?.as_str() {
        "ActionInvoked" => {
            let (id, key) = body.deserialize().ok()?;
            Some((id, Some(key)))
        }
        "NotificationClosed" => {
            let (id, _why): (u32, u32) = body.deserialize().ok()?;
            Some((id, None))
        }
        _ => None,
    }
}

fn unasked(error: zbus::Error) -> Failure {
    Failure::refused(format!(
        "there is neither a terminal nor a notification to ask whether the call is wanted ({error}); say it with --yes"
    ))
}
