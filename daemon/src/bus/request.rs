//! One method call from an identified caller, and its one reply.
//!
//! Owns the reply: it is built here, in the caller's byte order, and not at all where the caller wants
//! none.

use std::sync::Arc;

use callarbiter_dbus::Error;
use callarbiter_wire::{Body, Head, Outgoing, Received, compose};
use serde::Serialize;
use tracing::error;
use zbus::{DynamicType, Fd, Message, message::Type};

use super::{fault, peers::Client};

/// A method call with its sender. Cheap to keep until its reply is due.
#[derive(Clone, Debug)]
pub struct Request {
    /// The call.
    pub message: Received,
    /// Who sent it.
    pub client: Arc<Client>,
}

impl Request {
    /// The reply with this body, if one is wanted.
    pub fn reply<B: Serialize + DynamicType>(&self, body: &B) -> Option<Outgoing> {
        let mut written = self.body();
        written.any(body);
        self.reply_with(&body.signature().to_string_no_parens(), &written)
    }

    /// The reply with a file, if one is wanted.
    pub fn reply_with_file(&self, file: Fd<'_>) -> Option<Outgoing> {
        if !self.message.wants_reply() {
            return None;
        }
        let whole = self.message.whole();
        let reply = whole.and_then(|call| Message::method_return(&call.header()).build(&file));
        self.built(reply.map(Outgoing::from))
    }

    /// The arguments of its reply, in its caller's byte order, to be written.
    pub fn body(&self) -> Body {
        Body::in_order(self.message.order())
    }

    /// The reply with this body of these types, if one is wanted.
    pub fn reply_with(&self, signature: &str, body: &Body) -> Option<Outgoing> {
        if !self.message.wants_reply() {
            return None;
        }
        let head = Head {
            kind: Type::MethodReturn,
            reply_to: Some(self.message.serial()),
            to: &self.client.name,
            signature,
            ..Head::default()
        };
        self.built(compose(&head, body))
    }

    fn built(&self, reply: zbus::Result<Outgoing>) -> Option<Outgoing> {
        match reply {
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
        error_reply(&self.message, error)
    }
}

/// An error reply to any method call, if its sender wants one.
pub fn error_reply(call: &Received, error: &Error) -> Option<Outgoing> {
    if !call.wants_reply() {
        return None;
    }
    let mut body = Body::in_order(call.order());
    body.str(&error.message);
    let head = Head {
        kind: Type::Error,
        error: error.name.as_str(),
        reply_to: Some(call.serial()),
        to: call.sender(),
        signature: "s",
        ..Head::default()
    };
    compose(&head, &body)
        .inspect_err(|reason| error!(%reason, "an error reply could not be built"))
        .ok()
}
