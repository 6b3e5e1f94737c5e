//! From the contract's words to the core's, and back where the core tells what it was asked.
//!
//! Owns the translation and nothing else: bounds and types are checked by the contract's own readers,
//! which refuse what they do not allow; what makes sense, the core decides.

use callarbiter_core::{
    Action, CallRef, CallState, Claim, Configuration, Direction, Domain, EndReason, HoldModel,
    Millis, PlannedStep, Private, ProviderId, Records, Requested, Ringer, Step, Transaction,
    Update, tones,
};
use callarbiter_dbus::{
    self as wire, ActionResult, Entries, Error, PlanStep, ReconciledCalls, Ringtone, Verb, limits,
    names, words,
};
use uuid::Uuid;

use super::{
    fault,
    views::{View, call_path},
};

/// Actions of a transaction.
pub fn actions(view: &View<'_>, entries: &Entries) -> Result<Vec<Requested>, Error> {
    entries
        .iter()
        .map(|(name, parameters)| action(view, wire::Action::from_wire(name, parameters)?))
        .collect()
}

/// One action.
pub fn action(view: &View<'_>, action: wire::Action) -> Result<Requested, Error> {
    let call = |call: wire::CallRef| call_ref(view, call);
    let private = |text: Option<String>| Private::from(text.as_deref().unwrap_or_default());
    let expected = match action.expected_state {
        Some(word) => Some(call_state(word.as_str())?),
        None => None,
    };
    let action = match action.verb {
        Verb::Start { handle, provider, call, has_video } => Action::Start {
            uuid: call.unwrap_or_else(Uuid::new_v4),
            handle: Private::from(handle.as_str()),
            provider: provider.map(Into::into),
            video: has_video,
        },
        Verb::Answer { call: on } => Action::Answer { call: call(on) },
        Verb::End { call: on, reason, message } => Action::End {
            call: call(on),
            reason: reason.map(|word| end_reason(word.as_str())).transpose()?,
            message: private(message),
        },
        Verb::SetHeld { call: on, held } => Action::SetHeld { call: call(on), held },
        Verb::SetMuted { call: on, muted } => Action::SetMuted { call: call(on), muted },
        Verb::SetGroup { call: on, with } => {
            Action::SetGroup { call: call(on), with: with.map(call) }
        }
        Verb::PlayDtmf { call: on, digits } => Action::PlayDtmf {
            call: call(on),
            length: tones::playing_time(&digits).map_err(|refusal| fault::refused(&refusal))?,
            tones: Private::from(digits.as_str()),
        },
        Verb::SetVideo { call: on, video } => Action::SetVideo { call: call(on), video },
        Verb::Silence { call: on } => Action::Silence { call: call(on) },
    };
    Ok(Requested { action, expected })
}

fn call_ref(view: &View<'_>, call: wire::CallRef) -> CallRef {
    match call {
        wire::CallRef::Uuid(uuid) => CallRef::Uuid(uuid),
        wire::CallRef::Object(path) => view.call_ref(path),
    }
}

/// The UUID of a provider's own call.
pub fn uuid(text: &str) -> Result<Uuid, Error> {
    names::uuid(text)
        .ok_or_else(|| Error::invalid_argument("a call's UUID has 36 characters, with hyphens"))
}

/// A text of a caller within its bound.
pub fn text(what: &str, text: &str, max_bytes: usize) -> Result<Private, Error> {
    if limits::text_fits(text, max_bytes) {
        return Ok(Private::from(text));
    }
    Err(Error::invalid_argument(format!(
        "the {what} must have at most {max_bytes} bytes and no control characters"
    )))
}

/// Details of a call.
pub fn update(dict: &wire::Dict) -> Result<Update, Error> {
    let update = wire::CallUpdate::from_dict(dict)?;
    let private = |text: Option<String>| text.map(|text| Private::from(text.as_str()));
    Ok(Update {
        handle: private(update.remote_handle),
        name: private(update.display_name),
        video: update.has_video,
        can_hold: update.can_hold,
        can_group: update.can_group,
        can_dtmf: update.can_dtmf,
        ring_timeout: update.ring_timeout_ms.map(Millis),
        correlation: update.correlation_id.map(Into::into),
        contact: private(update.contact_id),
        encrypted: update.encrypted,
    })
}

/// A provider's configuration: what is given, over what it was. Words of a later version change nothing.
pub fn configuration(given: wire::Configuration, before: Configuration) -> Configuration {
    let (ringtone, own_ringtone) = match given.ringtone {
        Some(Ringtone::Theme(name)) => (name.into(), false),
        Some(Ringtone::File(_)) => ("".into(), true),
        // Only the arbiter says it.
        Some(Ringtone::Own) | None => (before.ringtone, before.own_ringtone),
    };
    Configuration {
        display_name: given.display_name.map_or(before.display_name, Into::into),
        icon: given.icon.map_or(before.icon, Into::into),
        ringtone,
        usage_description: given.usage_description.map_or(before.usage_description, Into::into),
        supports_video: given.supports_video.unwrap_or(before.supports_video),
        schemes: given
            .supported_schemes
            .map_or(before.schemes, |schemes| schemes.into_iter().map(Into::into).collect()),
        maximum_call_groups: given.maximum_call_groups.or(before.maximum_call_groups),
        maximum_calls_per_group: given.maximum_calls_per_group.or(before.maximum_calls_per_group),
        hold_model: match given.hold_model {
            Some(words::HoldModel::PerCall) => HoldModel::PerCall,
            Some(words::HoldModel::ProviderWide) => HoldModel::ProviderWide,
            Some(words::HoldModel::Other(_)) | None => before.hold_model,
        },
        transactions: given.transactions.unwrap_or(before.transactions),
        records: match given.records {
            Some(words::Records::None) => Records::None,
            Some(words::Records::Opaque) => Records::Opaque,
            Some(words::Records::Full) => Records::Full,
            Some(words::Records::Other(_)) | None => before.records,
        },
        ringer: match given.ringer {
            Some(words::Ringer::Arbiter) => Ringer::Arbiter,
            Some(words::Ringer::Itself) => Ringer::Itself,
            Some(words::Ringer::Other(_)) | None => before.ringer,
        },
        own_ringtone,
    }
}

/// A state as any member spells it; which ones a member takes, the core says.
pub fn call_state(word: &str) -> Result<CallState, Error> {
    Ok(match words::CallState::from(word) {
        words::CallState::Screening => CallState::Screening,
        words::CallState::Ringing => CallState::Ringing,
        words::CallState::Answering => CallState::Answering,
        words::CallState::Launching => CallState::Launching,
        words::CallState::Starting => CallState::Starting,
        words::CallState::Dialing => CallState::Dialing,
        words::CallState::Alerting => CallState::Alerting,
        words::CallState::Connecting => CallState::Connecting,
        words::CallState::Active => CallState::Active,
        words::CallState::Held => CallState::Held,
        words::CallState::Ending => CallState::Ending,
        words::CallState::Ended => CallState::Ended,
        words::CallState::Other(_) => {
            return Err(unknown_word("state", words::CallState::KNOWN));
        }
    })
}

/// A state that a provider may report, out of those of this member.
pub fn reported_state(word: &str, allowed: &[CallState]) -> Result<CallState, Error> {
    match call_state(word) {
        Ok(state) if allowed.contains(&state) => Ok(state),
        _ => {
            let names: Vec<_> = allowed.iter().map(|state| state.name()).collect();
            Err(unknown_word("state", &names))
        }
    }
}

/// Who called whom.
pub fn direction(word: &str) -> Result<Direction, Error> {
    match word {
        "incoming" => Ok(Direction::Incoming),
        "outgoing" => Ok(Direction::Outgoing),
        _ => Err(unknown_word("direction", words::Direction::KNOWN)),
    }
}

/// Why a call ended, in the words that others may say; the rest are the arbiter's own verdicts.
pub fn end_reason(word: &str) -> Result<EndReason, Error> {
    let own = [EndReason::Filtered, EndReason::ProviderLost, EndReason::TimedOut];
    let said = || EndReason::ALL.into_iter().filter(|reason| !own.contains(reason));
    said().find(|reason| reason.name() == word).ok_or_else(|| {
        let names: Vec<_> = said().map(EndReason::name).collect();
        unknown_word("reason", &names)
    })
}

/// What a provider still has.
pub fn claims(results: &wire::Dict) -> Result<Option<Vec<Claim>>, Error> {
    let Some(ReconciledCalls(calls)) = ReconciledCalls::from_results(results)? else {
        return Ok(None);
    };
    let claim = |(uuid, state): (Uuid, words::CallState)| {
        Ok(Claim { uuid, state: call_state(state.as_str())? })
    };
    calls.into_iter().map(claim).collect::<Result<_, Error>>().map(Some)
}

fn unknown_word(what: &str, known: &[&str]) -> Error {
    Error::invalid_argument(format!("the {what} must be one of {}", known.join(", ")))
}

/// A transaction's actions, each with how it ended.
pub fn outcomes(domain: Option<&Domain>, transaction: &Transaction, open: bool) -> Entries {
    transaction.actions.iter().map(|step| outcome(domain, step, open).to_wire()).collect()
}

fn outcome(domain: Option<&Domain>, step: &Step, open: bool) -> ActionResult {
    let (word, refusal) = match &step.outcome {
        None => (words::Outcome::Pending, None),
        Some(outcome) => (words::Outcome::from(outcome.name()), outcome.refusal()),
    };
    let error = refusal.map(|refusal| {
        let mut error = fault::refused(refusal);
        if !open {
            error.message.clear();
        }
        error
    });
    ActionResult::new(&said(domain, &step.action, step.expected, open), word, error)
}

/// The steps of a plan.
pub fn plan(domain: Option<&Domain>, steps: &[PlannedStep], open: bool) -> Entries {
    steps
        .iter()
        .map(|step| PlanStep::new(&said(domain, &step.action, None, open), step.implicit).to_wire())
        .collect()
}

/// An action as the contract says it; without what is personal for those who may not know it.
fn said(
    domain: Option<&Domain>,
    action: &Action,
    expected: Option<CallState>,
    open: bool,
) -> wire::Action {
    let call = |call: &CallRef| said_call(domain, *call);
    let text = |text: &Private| if open { text.reveal().to_owned() } else { String::new() };
    let verb = match action {
        Action::Start { uuid, handle, provider, video } => Verb::Start {
            handle: text(handle),
            provider: provider.as_ref().map(|app| app.as_ref().to_owned()),
            call: Some(*uuid),
            has_video: *video,
        },
        Action::Answer { call: on } => Verb::Answer { call: call(on) },
        Action::End { call: on, reason, message } => Verb::End {
            call: call(on),
            reason: reason.map(|reason| words::EndReason::from(reason.name())),
            message: Some(text(message)).filter(|message| !message.is_empty()),
        },
        Action::SetHeld { call: on, held } => Verb::SetHeld { call: call(on), held: *held },
        Action::SetMuted { call: on, muted } => Verb::SetMuted { call: call(on), muted: *muted },
        Action::SetGroup { call: on, with } => {
            Verb::SetGroup { call: call(on), with: with.as_ref().map(call) }
        }
        Action::PlayDtmf { call: on, tones, .. } => {
            Verb::PlayDtmf { call: call(on), digits: text(tones) }
        }
        Action::SetVideo { call: on, video } => Verb::SetVideo { call: call(on), video: *video },
        Action::Silence { call: on } => Verb::Silence { call: call(on) },
    };
    let expected_state = expected.map(|state| words::CallState::from(state.name()));
    wire::Action { verb, expected_state }
}

/// The UUID, or the path where the UUID alone is ambiguous.
fn said_call(domain: Option<&Domain>, call: CallRef) -> wire::CallRef {
    match (domain.and_then(|domain| domain.find(call)), call) {
        (Some(call), _) if call.qualified => wire::CallRef::Object(call_path(call)),
        (Some(call), _) => wire::CallRef::Uuid(call.uuid),
        (None, CallRef::Uuid(uuid) | CallRef::Of(ProviderId(_), uuid)) => wire::CallRef::Uuid(uuid),
        (None, CallRef::Id(_)) => wire::CallRef::Uuid(Uuid::nil()),
    }
}
