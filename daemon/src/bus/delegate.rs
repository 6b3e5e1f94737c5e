//! What providers are asked and told: method calls to their delegates that want no reply.
//!
//! Owns their form and the text of request ids. A bus keeps a place for every open reply and has few, so
//! a provider answers with `Fulfil` or `Fail` instead.

use callarbiter_core::{Ask, Authorization, Millis, Origin, RequestId};
use callarbiter_dbus::{Action, CallRef, Error, Verb, names::PROVIDER_DELEGATE, words};
use callarbiter_wire::{Body, Head, Outgoing, compose};
use uuid::Uuid;
use zbus::{OwnedObjectPath, message::Type, names::OwnedUniqueName};

/// Request ids: a random prefix for each state, so that an answer to a question of one that was lost is never
/// taken for one of this one.
#[derive(Debug)]
pub struct Requests {
    prefix: String,
}

impl Requests {
    /// Those of a new state.
    pub fn new() -> Self {
        let random = Uuid::new_v4().simple().to_string();
        Requests { prefix: random.get(..12).unwrap_or_default().to_owned() }
    }

    /// Those of a state that goes on.
    pub fn with(prefix: String) -> Self {
        Requests { prefix }
    }

    /// What all of them begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// As providers see it.
    pub fn text(&self, request: RequestId) -> String {
        format!("{}-{}", self.prefix, request.0)
    }

    /// From a provider.
    pub fn parse(&self, text: &str) -> Result<RequestId, Error> {
        let number = text.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix('-'));
        number.and_then(|number| number.parse().ok()).map(RequestId).ok_or_else(|| {
            Error::invalid_argument(
                "this is no request of this arbiter; ids are valid as long as its Epoch is the same",
            )
        })
    }
}

/// The delegate of a provider.
#[derive(Clone, Copy, Debug)]
pub struct Delegate<'a> {
    /// The app's connection.
    pub name: &'a OwnedUniqueName,
    /// Its object.
    pub path: &'a OwnedObjectPath,
}

impl Delegate<'_> {
    /// A request.
    pub fn ask(
        self,
        request: &str,
        ask: &Ask,
        deadline: Millis,
        origin: Origin,
    ) -> zbus::Result<Outgoing> {
        let mut body = Body::default();
        body.str(request);
        let mut more: &[(&str, Option<&str>)] = &[];
        let end;
        let (member, signature) = match ask {
            Ask::Start { uuid, handle, video: _ } => {
                body.id(*uuid);
                body.str(handle.reveal());
                ("PerformStart", "sssa{sv}")
            }
            Ask::Answer { uuid } => {
                body.id(*uuid);
                ("PerformAnswer", "ssa{sv}")
            }
            Ask::End { uuid, reason, message } => {
                body.id(*uuid);
                let message = Some(message.reveal()).filter(|message| !message.is_empty());
                end = [("reason", Some(reason.name())), ("message", message)];
                more = &end;
                ("PerformEnd", "ssa{sv}")
            }
            Ask::SetHeld { uuid, held: flag }
            | Ask::SetMuted { uuid, muted: flag }
            | Ask::SetVideo { uuid, video: flag } => {
                body.id(*uuid);
                body.bool(*flag);
                let member = match ask {
                    Ask::SetHeld { .. } => "PerformSetHeld",
                    Ask::SetMuted { .. } => "PerformSetMuted",
                    _ => "PerformSetVideo",
                };
                (member, "ssba{sv}")
            }
            Ask::SetGroup { uuid, with } => {
                body.id(*uuid);
                match with {
                    Some(with) => body.id(*with),
                    None => body.str(""),
                }
                ("PerformSetGroup", "sssa{sv}")
            }
            Ask::PlayDtmf { uuid, tones } => {
                body.id(*uuid);
                body.str(tones.reveal());
                ("PerformPlayDtmf", "sssa{sv}")
            }
            Ask::Transaction(steps) => {
                let steps: Vec<_> =
                    steps.iter().filter_map(step).map(|action| action.to_wire()).collect();
                body.any(&steps);
                ("PerformTransaction", "sa(sa{sv})a{sv}")
            }
            Ask::AudioActivated { uuids, generation }
            | Ask::AudioDeactivated { uuids, generation } => {
                body.array(4, |body| uuids.iter().for_each(|uuid| body.id(*uuid)));
                body.u64(*generation);
                let activated = matches!(ask, Ask::AudioActivated { .. });
                (if activated { "AudioActivated" } else { "AudioDeactivated" }, "sasta{sv}")
            }
            Ask::Reconcile { calls } => {
                body.array(8, |body| {
                    for (uuid, state) in calls {
                        body.fields();
                        body.id(*uuid);
                        body.array(8, |body| {
                            body.key("state");
                            body.a_str(state.name());
                        });
                    }
                });
                return self.call("Reconcile", "sa{sa{sv}}", &body);
            }
        };
        body.array(8, |body| {
            body.key("deadline");
            body.a_u32(deadline.0);
            body.key("origin");
            body.a_str(origin.name());
            if matches!(ask, Ask::Start { video: true, .. }) {
                body.key("has-video");
                body.a_bool(true);
            }
            for (key, text) in more {
                if let Some(text) = text {
                    body.key(key);
                    body.a_str(text);
                }
            }
        });
        self.call(member, signature, &body)
    }

    /// It was too late.
    pub fn timed_out(
        self,
        request: &str,
        uuid: Option<Uuid>,
        action: &str,
    ) -> zbus::Result<Outgoing> {
        let mut body = Body::default();
        body.str(request);
        match uuid {
            Some(uuid) => body.id(uuid),
            None => body.str(""),
        }
        body.str(action);
        self.call("ActionTimedOut", "sss", &body)
    }

    /// What it is allowed.
    pub fn authorization(self, authorization: Authorization) -> zbus::Result<Outgoing> {
        let mut body = Body::default();
        body.str(authorization.name());
        self.call("AuthorizationSet", "s", &body)
    }

    /// The arbiter's state is lost.
    pub fn reset(self) -> zbus::Result<Outgoing> {
        self.call("Reset", "", &Body::default())
    }

    fn call(self, member: &str, signature: &str, body: &Body) -> zbus::Result<Outgoing> {
        let head = Head {
            kind: Type::MethodCall,
            no_reply: true,
            path: self.path,
            interface: PROVIDER_DELEGATE,
            member,
            to: self.name,
            signature,
            ..Head::default()
        };
        compose(&head, body)
    }
}

/// A step of a whole plan, in the words of transactions; none for what is not part of plans.
fn step(ask: &Ask) -> Option<Action> {
    let call = |uuid: &Uuid| CallRef::Uuid(*uuid);
    let verb = match ask {
        Ask::Start { uuid, handle, video } => Verb::Start {
            handle: handle.reveal().to_owned(),
            provider: None,
            call: Some(*uuid),
            has_video: *video,
        },
        Ask::Answer { uuid } => Verb::Answer { call: call(uuid) },
        Ask::End { uuid, reason, message } => Verb::End {
            call: call(uuid),
            reason: Some(words::EndReason::from(reason.name())),
            message: Some(message.reveal().to_owned()).filter(|message| !message.is_empty()),
        },
        Ask::SetHeld { uuid, held } => Verb::SetHeld { call: call(uuid), held: *held },
        Ask::SetMuted { uuid, muted } => Verb::SetMuted { call: call(uuid), muted: *muted },
        Ask::SetGroup { uuid, with } => {
            Verb::SetGroup { call: call(uuid), with: with.as_ref().map(call) }
        }
        Ask::PlayDtmf { uuid, tones } => {
            Verb::PlayDtmf { call: call(uuid), digits: tones.reveal().to_owned() }
        }
        Ask::SetVideo { uuid, video } => Verb::SetVideo { call: call(uuid), video: *video },
        Ask::Transaction(_)
        | Ask::AudioActivated { .. }
        | Ask::AudioDeactivated { .. }
        | Ask::Reconcile { .. } => return None,
    };
    Some(verb.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use callarbiter_core::{EndReason, Private};
    use callarbiter_dbus::xml;
    use zbus::{message::Flags, names::UniqueName};

    use super::*;

    #[test]
    fn request_ids_are_of_this_start_only() {
        let (this, other) = (Requests::new(), Requests::new());
        assert_eq!(this.parse(&this.text(RequestId(7))), Ok(RequestId(7)));
        assert!(this.parse(&other.text(RequestId(7))).is_err());
        assert!(this.parse("").is_err());
        assert!(this.parse(&format!("{}x", this.text(RequestId(7)))).is_err());
    }

    #[test]
    fn calls_are_what_the_interface_file_says_and_want_no_reply() {
        let name: OwnedUniqueName = UniqueName::try_from(":1.5").unwrap().into();
        let path = OwnedObjectPath::try_from("/app").unwrap();
        let delegate = Delegate { name: &name, path: &path };
        let uuid = Uuid::new_v4();
        let asks = [
            Ask::Start { uuid, handle: Private::from("tel:1"), video: true },
            Ask::Answer { uuid },
            Ask::End { uuid, reason: EndReason::Declined, message: Private::from("later") },
            Ask::SetHeld { uuid, held: true },
            Ask::SetMuted { uuid, muted: true },
            Ask::SetGroup { uuid, with: None },
            Ask::PlayDtmf { uuid, tones: Private::from("1") },
            Ask::SetVideo { uuid, video: false },
            Ask::Transaction(vec![Ask::SetHeld { uuid, held: true }, Ask::Answer { uuid }]),
            Ask::AudioActivated { uuids: vec![uuid], generation: 1 },
            Ask::AudioDeactivated { uuids: vec![uuid], generation: 1 },
            Ask::Reconcile { calls: vec![(uuid, callarbiter_core::CallState::Active)] },
        ];
        let mut messages: Vec<Outgoing> = asks
            .iter()
            .map(|ask| delegate.ask("p-1", ask, Millis(5), Origin::Policy).unwrap())
            .collect();
        messages.push(delegate.timed_out("p-1", None, "Answer").unwrap());
        messages.push(delegate.authorization(Authorization::Authorized).unwrap());
        messages.push(delegate.reset().unwrap());
        let methods = super::super::contract::methods_of(xml::PROVIDER_DELEGATE);
        for message in &messages {
            let message = &message.read().unwrap();
            let header = message.header();
            let member = header.member().unwrap().as_str();
            let types = methods.get(member).unwrap();
            assert_eq!(message.body().signature().to_string_no_parens(), *types, "{member}");
            // Exactly this one: python3-dbus-fast of Debian 12 loses its connection over two flags at once.
            assert_eq!(message.primary_header().flags(), Flags::NO_REPLY_EXPECTED);
        }
        assert_eq!(messages.len(), methods.len(), "one of each method of the interface");
    }
}
