//! What the agent serves on the user's session bus: the name `org.callarbiter.Agent1` and its object.
//!
//! Owns the name, who may call, and how a refusal travels. What each interface does is in the files below; whose
//! business it is, the parts know.

mod apps;
pub mod caller;

use std::convert::Infallible;

use callarbiter_dbus::{Error, names};
use tokio::sync::mpsc;
use zbus::{Connection, DBusError, Message, message::Header, names::ErrorName};

use self::apps::Apps;
use crate::{arbiter::Desk, cli::Part, post};

/// Each part that serves something by itself has one, until it does: whoever sees the name finds everything behind it.
#[derive(Clone)]
pub struct Opening(#[expect(dead_code, reason = "counts")] mpsc::Sender<Infallible>);

/// Serves what belongs to these parts, and takes the name when all of them serve.
pub async fn begin(session: &Connection, desk: &Desk, parts: &[Part]) -> zbus::Result<Opening> {
    let server = session.object_server();
    if parts.contains(&Part::Consent) {
        server.at(names::AGENT_PATH, Apps::new(session.clone(), desk.clone())).await?;
    }
    let (opening, mut open) = mpsc::channel(1);
    let session = session.clone();
    tokio::spawn(async move {
        // Nothing ever comes, and when nothing can any more, all of them serve.
        open.recv().await;
        post::own(&session, names::AGENT_BUS_NAME).await;
    });
    Ok(Opening(opening))
}

/// A refusal, under the names of the arbiter's contract.
#[derive(Debug)]
pub struct Refused(Error);

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused(error)
    }
}

impl From<zbus::Error> for Refused {
    fn from(error: zbus::Error) -> Self {
        let kind = callarbiter_dbus::ErrorKind::ActionFailed;
        Refused(Error::new(kind, format!("the session bus: {error}")))
    }
}

impl DBusError for Refused {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&self.0.message)
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_str_unchecked(self.0.name.as_str())
    }

    fn description(&self) -> Option<&str> {
        Some(&self.0.message)
    }
}
