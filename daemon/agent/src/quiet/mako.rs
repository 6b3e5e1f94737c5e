//! Old mako changes its modes and tells nobody.
//!
//! Owns a connection that overhears who tells it to, and nothing else: the bus copies those calls alone to it.

use futures_util::StreamExt;
use zbus::{MatchRule, MessageStream, connection::Builder, fdo::MonitoringProxy, message::Type};

pub const PATH: &str = "/fr/emersion/Mako";
pub const INTERFACE: &str = "fr.emersion.Mako";

/// Hears each call that may change a mode; mako has it before whatever is asked after that.
pub struct Overheard(MessageStream);

impl Overheard {
    pub async fn listen() -> zbus::Result<Overheard> {
        let connection = Builder::session().build().await?;
        let mut rules = vec![];
        for member in ["SetModes", "SetMode", "Reload"] {
            let call = MatchRule::builder().msg_type(Type::MethodCall).interface(INTERFACE);
            rules.push(call.member(member).build()?);
        }
        MonitoringProxy::new(&connection).await?.become_monitor(&rules, 0).await?;
        Ok(Overheard(MessageStream::from(connection)))
    }

    /// Waits for the next; for ever, if the bus is gone.
    pub async fn next(&mut self) {
        loop {
            match self.0.next().await {
                Some(Ok(message)) if message.message_type() == Type::MethodCall => return,
                Some(_) => {}
                None => return std::future::pending().await,
            }
        }
    }
}
