//! What the agent serves on the user's session bus: the name `org.callarbiter.Agent1` and its object.
//!
//! Owns the name, who may call, and how a refusal travels. What each interface does is in the files below; whose
//! business it is, the parts know.

mod apps;
pub mod caller;

use std::sync::Arc;

use callarbiter::Snapshot;
use callarbiter_dbus::{Error, names};
use tokio::sync::{mpsc::UnboundedReceiver, watch};
use zbus::{Connection, DBusError, Message, message::Header, names::ErrorName};

use self::apps::Apps;
use crate::{cli::Part, post, scene::Told};

/// What the arbiter shows, as far as it was told.
type Now = watch::Receiver<Arc<Snapshot>>;

/// Serves what belongs to these parts.
pub async fn begin(
    session: &Connection,
    told: UnboundedReceiver<Told>,
    parts: &[Part],
) -> zbus::Result<()> {
    let now = follow(told);
    let server = session.object_server();
    if parts.contains(&Part::Consent) {
        server.at(names::AGENT_PATH, Apps::new(session.clone(), now)).await?;
    }
    // What parts serve by themselves is there a moment after they begin.
    post::own(session, names::AGENT_BUS_NAME).await;
    Ok(())
}

fn follow(mut told: UnboundedReceiver<Told>) -> Now {
    let (sender, now) = watch::channel(Arc::default());
    tokio::spawn(async move {
        while let Some(next) = told.recv().await {
            sender.send_replace(next.now);
        }
    });
    now
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
