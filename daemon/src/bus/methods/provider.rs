//! `Provider`: what a registered app says.

use callarbiter_core::{
    CallRef, CallState, Direction, Input, Millis, ProviderId, Reply, Role, Uid, Word,
};
use callarbiter_dbus::{
    Configuration, Dict, EndDetails, Error, Fields, StateDetails, limits, names,
};

use crate::bus::{
    dispatch::{Answer, arguments},
    fault, parse,
    request::Request,
    router::Router,
    turn::Turn,
    waits::{Awaited, On},
};

/// What `ReportState` may say.
const FACTS: &[CallState] =
    &[CallState::Alerting, CallState::Connecting, CallState::Active, CallState::Held];

impl Router {
    pub(in crate::bus) fn provider(
        &mut self,
        turn: &mut Turn,
        request: &Request,
        id: ProviderId,
        member: &str,
    ) -> Answer {
        let mut ringtone = None;
        let word = match member {
            "ReportIncomingCall" => {
                let (uuid, update): (String, Dict) = arguments(request, member)?;
                Word::Incoming { uuid: parse::uuid(&uuid)?, update: parse::update(&update)? }
            }
            "ReportCall" => live(request, member)?,
            "UpdateCall" => {
                let (uuid, update): (String, Dict) = arguments(request, member)?;
                Word::Update { uuid: parse::uuid(&uuid)?, update: parse::update(&update)? }
            }
            "ReportState" => {
                let (uuid, state, details): (String, String, Dict) = arguments(request, member)?;
                let state = match state.as_str() {
                    "" => None,
                    word => Some(parse::reported_state(word, FACTS)?),
                };
                let remote_held = StateDetails::from_dict(&details)?.remote_held;
                Word::State { uuid: parse::uuid(&uuid)?, state, remote_held }
            }
            "ReportEnded" => {
                let (uuid, reason, details): (String, String, Dict) = arguments(request, member)?;
                let detail = EndDetails::from_dict(&details)?.message.unwrap_or_default();
                Word::Ended {
                    uuid: parse::uuid(&uuid)?,
                    reason: parse::end_reason(&reason)?,
                    detail: detail.as_str().into(),
                }
            }
            "Fulfil" => {
                let (text, results): (String, Dict) = arguments(request, member)?;
                Fields::bounded(&results)?;
                let calls = parse::claims(&results)?;
                Word::Fulfil { request: self.requests.parse(&text)?, calls }
            }
            "Fail" => {
                let (text, error, message): (String, String, String) = arguments(request, member)?;
                parse::text("error's name", &error, limits::APP_ID_BYTES)?;
                Word::Fail {
                    request: self.requests.parse(&text)?,
                    error: fault::said_by_provider(&error),
                    message: parse::text("message", &message, limits::MESSAGE_BYTES)?,
                }
            }
            "Progress" => {
                let (text, extend): (String, u32) = arguments(request, member)?;
                Word::Progress { request: self.requests.parse(&text)?, extend: Millis(extend) }
            }
            "UpdateConfiguration" => {
                let (given,): (Dict,) = arguments(request, member)?;
                let given = Configuration::from_dict(&given)?;
                ringtone = self.ringtones.offered(request.client.caller.uid, Some(id), &given)?;
                let domain = self.arbiter.domain(request.client.caller.uid);
                let before = domain
                    .and_then(|domain| domain.provider(id))
                    .map(|provider| provider.configuration.clone())
                    .unwrap_or_default();
                Word::Configure(parse::configuration(given, before))
            }
            "RequestAuthorization" => return self.authorization(turn, request, id),
            "Unregister" => Word::Unregister,
            _ => return Err(fault::unknown_method(names::PROVIDER, member)),
        };
        let caller = request.client.caller;
        if !self.closes(caller.uid, id, &word) {
            self.charge_report(turn, caller.uid)?;
        }
        if self.may_be_screened(caller.uid, &word) {
            self.waits.admit(request)?;
        }
        let own_ringtone = match &word {
            Word::Configure(configuration) => Some(configuration.own_ringtone),
            _ => None,
        };
        let reply = self.input(turn, Input::Provider { caller, provider: id, word })?;
        if let Some(own) = own_ringtone {
            self.ringtones.keep((caller.uid, id), own, ringtone);
        }
        match reply {
            Reply::Screening(call) => {
                let awaited = Awaited::Call(self.view(caller.uid).path_of_call(call));
                self.waits.add(turn.now, request.clone(), On::Screeners(call), awaited);
                Ok(None)
            }
            Reply::Call(call) => Ok(request.path(&self.view(caller.uid).path_of_call(call))),
            Reply::Filtered(_, why) => Err(fault::refused(&why)),
            _ => Ok(request.done()),
        }
    }

    /// Whether the reply to a word may have to wait for what screeners say.
    fn may_be_screened(&self, uid: Uid, word: &Word) -> bool {
        let rings = match word {
            Word::Incoming { .. } => true,
            Word::Live { direction, state, .. } => {
                *direction == Direction::Incoming && *state == CallState::Ringing
            }
            _ => false,
        };
        let domain = self.arbiter.domain(uid).filter(|_| rings);
        domain.is_some_and(|domain| domain.holder(Role::Screening).is_some())
    }

    /// Whether a word ends or answers something, of which there are not many: it is always heard.
    fn closes(&self, uid: Uid, provider: ProviderId, word: &Word) -> bool {
        match word {
            Word::Fulfil { .. } | Word::Fail { .. } | Word::Unregister => true,
            Word::Ended { uuid, .. } => {
                let domain = self.arbiter.domain(uid);
                domain.is_some_and(|domain| domain.find(CallRef::Of(provider, *uuid)).is_some())
            }
            _ => false,
        }
    }

    /// One more report of this user's.
    pub(super) fn charge_report(&mut self, turn: &Turn, uid: Uid) -> Result<(), Error> {
        let most = self.arbiter.settings().limits.reports_per_second;
        self.rates.charge(turn.now.mono, uid, most)
    }

    /// The answer is what is known now; what the user says comes as `AuthorizationSet`.
    fn authorization(&mut self, turn: &mut Turn, request: &Request, id: ProviderId) -> Answer {
        let caller = request.client.caller;
        self.charge_report(turn, caller.uid)?;
        self.input(turn, Input::Provider { caller, provider: id, word: Word::Authorize })?;
        let provider = self.arbiter.domain(caller.uid).and_then(|domain| domain.provider(id));
        let known = provider.map(|provider| provider.authorization).unwrap_or_default();
        Ok(request.reply(&known.name()))
    }
}

fn live(request: &Request, member: &str) -> Result<Word, Error> {
    use CallState::{Active, Alerting, Connecting, Dialing, Held, Ringing};
    let (uuid, direction, state, update): (String, String, String, Dict) =
        arguments(request, member)?;
    let direction = parse::direction(&direction)?;
    let allowed: &[CallState] = match direction {
        Direction::Incoming => &[Ringing, Connecting, Active, Held],
        Direction::Outgoing => &[Dialing, Alerting, Connecting, Active, Held],
    };
    Ok(Word::Live {
        uuid: parse::uuid(&uuid)?,
        direction,
        state: parse::reported_state(&state, allowed)?,
        update: parse::update(&update)?,
    })
}
