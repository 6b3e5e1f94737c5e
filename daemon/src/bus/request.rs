//! One method call from an identified caller, and its one reply.
//!
//! Owns the reply: it is built here, in the caller's byte order, and not at all where the caller wants
//! none.

use std::sync::Arc;

use callarbiter_dbus::Error;
use serde::Serialize;
use tracing::error;
use zbus::{
    DynamicType, Message,
    message::{Flags, Type},
};

use super::{
    compose::{Head, compose},
    encode::Body,
    fault,
    outgoing::Outgoing,
    peers::Client,
};

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
    pub fn reply<B: Serialize + DynamicType>(&self, body: &B) -> Option<Outgoing> {
        if !wants_reply(&self.message) {
            return None;
        }
        match Message::method_return(&self.message.header()).build(body) {
            Ok(reply) => Some(reply.into()),
            Err(reason) => {
                error!(%reason, "a reply could not be built");
                self.error(&fault::internal())
            }
        }
    }

    /// The arguments of its reply, in its caller's byte order, to be written.
    pub fn body(&self) -> Body {
        Body::in_order(self.message.primary_header().endian_sig().into())
    }

    /// The reply with this body of these types, if one is wanted.
    pub fn reply_with(&self, signature: &str, body: &Body) -> Option<Outgoing> {
        if !wants_reply(&self.message) {
            return None;
        }
        let head = Head {
            kind: Type::MethodReturn,
            reply_to: Some(self.message.primary_header().serial_num()),
            to: &self.client.name,
            signature,
            ..Head::default()
        };
        match compose(&head, body) {
            Ok(reply) => Some(reply),
            Err(reason) => {
                error!(%reason, "a reply could not be built");
                self.error(&fault::internal())
            }
        }
    }

    /// The reply that says no more than that it is done.
    pub fn done(&self) -> Option<Outgoing> {
        self.reply_with("", &self.body())
    }

    /// The reply with a path.
    pub fn path(&self, path: &str) -> Option<Outgoing> {
        let mut body = self.body();
        body.str(path);
        self.reply_with("o", &body)
    }

    /// The error reply, if one is wanted.
    pub fn error(&self, error: &Error) -> Option<Outgoing> {
        error_reply(&self.message, error).map(Outgoing::from)
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
