//! What providers are asked and told: method calls to their delegates that want no reply.
//!
//! Owns their form and the text of request ids. A bus keeps a place for every open reply and has few, so
//! a provider answers with `Fulfil` or `Fail` instead.

use callarbiter_core::{Ask, Authorization, Millis, Origin, RequestId};
use callarbiter_dbus::{
    Action, CallRef, Error, PerformOptions, ReconciledCalls, Verb, names::PROVIDER_DELEGATE, words,
};
use serde::Serialize;
use uuid::Uuid;
use zbus::{DynamicType, Message, OwnedObjectPath, message::Flags, names::OwnedUniqueName};

/// Request ids: a random prefix for each start of the daemon, so that an answer to a daemon that is gone
/// is never taken for one to this one.
#[derive(Debug)]
pub struct Requests {
    prefix: String,
}

impl Requests {
    /// Those of this start.
    pub fn new() -> Self {
        let random = Uuid::new_v4().simple().to_string();
        Requests { prefix: random.get(..12).unwrap_or_default().to_owned() }
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
                "this is no request of this arbiter; ids are valid until it is started again",
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
    ) -> zbus::Result<Message> {
        let mut options = PerformOptions {
            deadline_ms: Some(deadline.0),
            origin: Some(words::Origin::from(origin.name())),
            ..PerformOptions::default()
        };
        match ask {
            Ask::Start { uuid, handle, video } => {
                options.has_video = *video;
                let uuid = uuid.to_string();
                self.call("PerformStart", &(request, uuid, handle.reveal(), options.to_dict()))
            }
            Ask::Answer { uuid } => {
                self.call("PerformAnswer", &(request, uuid.to_string(), options.to_dict()))
            }
            Ask::End { uuid, reason, message } => {
                options.reason = Some(words::EndReason::from(reason.name()));
                options.message =
                    Some(message.reveal().to_owned()).filter(|message| !message.is_empty());
                self.call("PerformEnd", &(request, uuid.to_string(), options.to_dict()))
            }
            Ask::SetHeld { uuid, held } => {
                self.call("PerformSetHeld", &(request, uuid.to_string(), held, options.to_dict()))
            }
            Ask::SetMuted { uuid, muted } => {
                self.call("PerformSetMuted", &(request, uuid.to_string(), muted, options.to_dict()))
            }
            Ask::SetGroup { uuid, with } => {
                let with = with.map(|uuid| uuid.to_string()).unwrap_or_default();
                self.call("PerformSetGroup", &(request, uuid.to_string(), with, options.to_dict()))
            }
            Ask::PlayDtmf { uuid, tones } => {
                let uuid = uuid.to_string();
                self.call("PerformPlayDtmf", &(request, uuid, tones.reveal(), options.to_dict()))
            }
            Ask::SetVideo { uuid, video } => {
                self.call("PerformSetVideo", &(request, uuid.to_string(), video, options.to_dict()))
            }
            Ask::Transaction(steps) => {
                let steps: Vec<_> =
                    steps.iter().filter_map(step).map(|action| action.to_wire()).collect();
                self.call("PerformTransaction", &(request, steps, options.to_dict()))
            }
            Ask::AudioActivated { uuids, generation } => {
                self.call("AudioActivated", &(request, texts(uuids), generation, options.to_dict()))
            }
            Ask::AudioDeactivated { uuids, generation } => self
                .call("AudioDeactivated", &(request, texts(uuids), generation, options.to_dict())),
            Ask::Reconcile { calls } => {
                let calls = calls
                    .iter()
                    .map(|(uuid, state)| (*uuid, words::CallState::from(state.name())))
                    .collect();
                self.call("Reconcile", &(request, ReconciledCalls(calls).to_wire()))
            }
        }
    }

    /// It was too late.
    pub fn timed_out(
        self,
        request: &str,
        uuid: Option<Uuid>,
        action: &str,
    ) -> zbus::Result<Message> {
        let uuid = uuid.map(|uuid| uuid.to_string()).unwrap_or_default();
        self.call("ActionTimedOut", &(request, uuid, action))
    }

    /// What it is allowed.
    pub fn authorization(self, authorization: Authorization) -> zbus::Result<Message> {
        self.call("AuthorizationSet", &authorization.name())
    }

    /// The arbiter's state is lost.
    pub fn reset(self) -> zbus::Result<Message> {
        self.call("Reset", &())
    }

    fn call<B: Serialize + DynamicType>(self, member: &str, body: &B) -> zbus::Result<Message> {
        Message::method_call(self.path.as_ref(), member)
            .destination(self.name.as_ref())
            .interface(PROVIDER_DELEGATE)
            .with_flags(Flags::NO_REPLY_EXPECTED)
            .build(body)
    }
}

fn texts(uuids: &[Uuid]) -> Vec<String> {
    uuids.iter().map(Uuid::to_string).collect()
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
    use zbus::names::UniqueName;

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
        let mut messages: Vec<Message> = asks
            .iter()
            .map(|ask| delegate.ask("p-1", ask, Millis(5), Origin::Policy).unwrap())
            .collect();
        messages.push(delegate.timed_out("p-1", None, "Answer").unwrap());
        messages.push(delegate.authorization(Authorization::Authorized).unwrap());
        messages.push(delegate.reset().unwrap());
        let methods = super::super::contract::methods_of(xml::PROVIDER_DELEGATE);
        for message in &messages {
            let header = message.header();
            let member = header.member().unwrap().as_str();
            let types = methods.get(member).unwrap();
            assert!(super::super::peers::has_types(message, types), "{member}");
            // Exactly this one: python3-dbus-fast of Debian 12 loses its connection over two flags at once.
            assert_eq!(message.primary_header().flags(), Flags::NO_REPLY_EXPECTED);
        }
        assert_eq!(messages.len(), methods.len(), "one of each method of the interface");
    }
}
