//! `Call` and `Transaction`: one-action transactions that reply when performed, and their cancellation.

use callarbiter_core::{Input, TransactionId};
use callarbiter_dbus::{
    CallRef, Dict, Error, ErrorKind, Fields, Verb, limits,
    names::{self, CallPath},
    words,
};
use zbus::OwnedObjectPath;

use crate::bus::{
    dispatch::{Answer, arguments},
    fault, parse,
    request::Request,
    router::Router,
    turn::Turn,
    waits::Awaited,
};

impl Router {
    pub(in crate::bus) fn call(
        &mut self,
        turn: &mut Turn,
        request: &Request,
        path: CallPath,
        text: &str,
        member: &str,
    ) -> Answer {
        let call = CallRef::Object(path);
        let verb = verb(request, call, member)?;
        let view = self.view(request.client.caller.uid);
        let gone = view.object(names::Object::Call(path)).is_none();
        let action = parse::action(&view, verb)?;
        self.request(turn, request, vec![action], None, true, |_, _, _| Awaited::Done).map_err(
            // What was never there, or is forgotten, is an unknown object like any other.
            |error| match error.kind() {
                Some(ErrorKind::UnknownCall) if gone => fault::unknown_object(text),
                _ => error,
            },
        )
    }

    pub(in crate::bus) fn transaction(
        &mut self,
        turn: &mut Turn,
        request: &Request,
        transaction: TransactionId,
        member: &str,
    ) -> Answer {
        match member {
            "Cancel" => {
                let caller = request.client.caller;
                self.input(turn, Input::Cancel { caller, transaction })?;
                Ok(request.done())
            }
            _ => Err(fault::unknown_method(names::TRANSACTION, member)),
        }
    }
}

fn verb(request: &Request, call: CallRef, member: &str) -> Result<callarbiter_dbus::Action, Error> {
    let mut expected_state = None;
    let mut options = || -> Result<Dict, Error> {
        let (options,): (Dict,) = arguments(request, member)?;
        let expected = Fields::bounded(&options)?.any_text("expected-state")?;
        expected_state = expected.map(words::CallState::from);
        Ok(options)
    };
    let verb = match member {
        "Answer" => {
            options()?;
            Verb::Answer { call }
        }
        "End" => {
            let options = options()?;
            let fields = Fields::bounded(&options)?;
            Verb::End {
                call,
                reason: fields.any_text("reason")?.map(words::EndReason::from),
                message: fields.text("message", limits::MESSAGE_BYTES)?.map(str::to_owned),
            }
        }
        "Hold" => Verb::SetHeld { call, held: true },
        "Unhold" => Verb::SetHeld { call, held: false },
        "SetMuted" => {
            let (muted,): (bool,) = arguments(request, member)?;
            Verb::SetMuted { call, muted }
        }
        "SendDtmf" => {
            let (digits,): (String,) = arguments(request, member)?;
            Verb::PlayDtmf { call, digits }
        }
        "SetVideo" => {
            let (video,): (bool,) = arguments(request, member)?;
            Verb::SetVideo { call, video }
        }
        "Join" => {
            let (with,): (OwnedObjectPath,) = arguments(request, member)?;
            Verb::SetGroup { call, with: Some(joined(&with)?) }
        }
        "Leave" => Verb::SetGroup { call, with: None },
        "Silence" => Verb::Silence { call },
        _ => return Err(fault::unknown_method(names::CALL, member)),
    };
    Ok(callarbiter_dbus::Action { verb, expected_state })
}

fn joined(path: &OwnedObjectPath) -> Result<CallRef, Error> {
    match names::Object::parse(path.as_str()) {
        Some(names::Object::Call(path)) => Ok(CallRef::Object(path)),
        _ => Err(Error::invalid_argument("a call can join only another call, by its object path")),
    }
}
