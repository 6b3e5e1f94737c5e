//! One method call from an identified caller, and its one reply.
//!
//! Owns the reply: it is built here, in the caller's byte order, and not at all where the caller wants
//! none.

use std::sync::Arc;

use callarbiter_dbus::Error;
use serde::Serialize;
use tracing::error;
use zbus::{DynamicType, Message, message::Flags};

use super::{fault, peers::Client};

/// A method call with its sender. Cheap to keep until its reply is due.
#[derive(Clone, Debug)]
pub struct Request {
    /// The call.
    pub message: Message,
    /// Who sent it.
    pub client: Arc<Client>,
}

impl Request {
    /// The reply with this body, if one is wanted.
    pub fn reply<B: Serialize + DynamicType>(&self, body: &B) -> Option<Message> {
        if !wants_reply(&self.message) {
            return None;
        }
        match Message::method_return(&self.message.header()).build(body) {
            Ok(reply) => Some(reply),
            Err(reason) => {
                error!(%reason, "a reply could not be built");
                self.error(&fault::internal())
            }
        }
    }

    /// The error reply, if one is wanted.
    pub fn error(&self, error: &Error) -> Option<Message> {
        error_reply(&self.message, error)
    }
}

/// An error reply to any method call, if its sender wants one.
pub fn error_reply(call: &Message, error: &Error) -> Option<Message> {
    if !wants_reply(call) {
        return None;
    }
    Message::error(&call.header(), error.name.as_str())
        .build(&error.message.as_str())
        .inspect_err(|reason| error!(%reason, "an error reply could not be built"))
        .ok()
}

fn wants_reply(call: &Message) -> bool {
    !call.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED)
}
