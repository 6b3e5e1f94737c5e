//! What the small words of a history mean to the core: what an app says, answers, or is asked for.
//!
//! Owns the translation alone, the same in every state: it sees neither the harness nor the arbiter.

use callarbiter_core::*;

use super::{
    apps::{self, CAST, SOS},
    op::*,
};
use crate::world::*;

pub fn cast(app: u8) -> &'static apps::Cast {
    &CAST[usize::from(app) % CAST.len()]
}

/// What an app says by itself.
pub fn word(app: u8, said: Said) -> Word {
    let who = |n: u8| uuid(u128::from(n));
    let born = Update {
        can_hold: (!cast(app).holds).then_some(false),
        handle: Some("sip:someone@example.org".into()),
        ..Update::default()
    };
    match said {
        Said::Incoming { n, kind } => {
            let update = match kind {
                Kind::Plain => born,
                Kind::Linked => Update { correlation: Some("same".into()), ..born },
                Kind::Brief => Update { ring_timeout: Some(Millis(1000)), ..born },
            };
            Word::Incoming { uuid: who(n), update }
        }
        Said::Live { n, out, state } => {
            let direction = if out { Direction::Outgoing } else { Direction::Incoming };
            // Some of what this app dials is an emergency.
            let help = app == SOS && out && n % 2 == 0;
            let handle = if help { Some("tel:112".into()) } else { born.handle.clone() };
            Word::Live { uuid: who(n), direction, state, update: Update { handle, ..born } }
        }
        Said::CanHold { n, can } => {
            let update = Update { can_hold: Some(can), ..Update::default() };
            Word::Update { uuid: who(n), update }
        }
        Said::Details { n } => {
            let update = Update {
                name: Some("Someone".into()),
                video: Some(true),
                encrypted: Some(true),
                ring_timeout: Some(Millis(5000)),
                ..Update::default()
            };
            Word::Update { uuid: who(n), update }
        }
        Said::State { n, state } => {
            Word::State { uuid: who(n), state: Some(state), remote_held: None }
        }
        Said::RemoteHeld { n, held } => {
            Word::State { uuid: who(n), state: None, remote_held: Some(held) }
        }
        Said::Ended { n, reason } => {
            Word::Ended { uuid: who(n), reason, detail: Private::default() }
        }
        Said::Wide { wide } => Word::Configure(apps::configuration(app, wide)),
        Said::Authorize => Word::Authorize,
        Said::Unregister => Word::Unregister,
    }
}

/// How an app answers what it was asked.
pub fn answer(asked: &Asked, how: How) -> Word {
    let request = asked.request;
    let claims = |state: Option<CallState>| match &asked.ask {
        Ask::Reconcile { calls } => Some(
            calls
                .iter()
                .map(|(uuid, was)| Claim { uuid: *uuid, state: state.unwrap_or(*was) })
                .collect(),
        ),
        _ => None,
    };
    match how {
        How::Fulfil => Word::Fulfil { request, calls: claims(None) },
        How::Claim(state) => Word::Fulfil { request, calls: claims(Some(state)) },
        How::Without => Word::Fulfil { request, calls: Some(Vec::new()) },
        How::Bare => Word::Fulfil { request, calls: None },
        How::Fail => {
            Word::Fail { request, error: Error::ActionFailed, message: Private::default() }
        }
        How::More { ms } => Word::Progress { request, extend: Millis(ms) },
    }
}

/// How an agent answers what it was asked.
pub fn errand(how: Errand) -> AgentAnswer {
    let word = match how {
        Errand::Done => Authorization::Authorized,
        Errand::No => Authorization::Denied,
        Errand::Later | Errand::Fail => Authorization::NotDetermined,
    };
    let known = how == Errand::Done;
    AgentAnswer {
        error: (how == Errand::Fail).then(|| "it did not work".into()),
        authorization: Some(word),
        name: known.then(|| "Ada".into()),
        contact: known.then(|| "1".into()),
        enforced: known,
        silent: if known { vec![ProviderId(1), ProviderId(2)] } else { Vec::new() },
        verdict: match how {
            Errand::Done => Some(Verdict::Allow),
            Errand::No => Some(Verdict::Reject),
            Errand::Later => Some(Verdict::Silence),
            Errand::Fail => None,
        },
        urgent: known,
        ground: if known { Ground::List } else { Ground::Screening },
        detail: Private::default(),
    }
}

/// A place where the sound can go.
pub fn endpoint(number: u8) -> Endpoint {
    let id = format!("sink-{number}").as_str().into();
    Endpoint { id, name: "Loudspeakers".into(), kind: "speaker".into() }
}

/// What a controller asks for.
pub fn action(act: Act) -> Action {
    let call = |n: u8| of(u128::from(n));
    match act {
        Act::Start { n, app, handle } => Action::Start {
            uuid: uuid(u128::from(n)),
            handle: match handle {
                Handle::Usual => "tel:1".into(),
                Handle::Emergency => "tel:112".into(),
            },
            provider: app.map(|a| cast(a).app.into()),
            video: false,
        },
        Act::Answer { n } => Action::Answer { call: call(n) },
        Act::End { n, reason } => {
            Action::End { call: call(n), reason, message: Private::default() }
        }
        Act::Hold { n, held } => Action::SetHeld { call: call(n), held },
        Act::Mute { n, muted } => Action::SetMuted { call: call(n), muted },
        Act::Join { n, with } => Action::SetGroup { call: call(n), with: Some(call(with)) },
        Act::Leave { n } => Action::SetGroup { call: call(n), with: None },
        Act::Tones { n } => {
            Action::PlayDtmf { call: call(n), tones: "1".into(), length: Millis(100) }
        }
        Act::Video { n, video } => Action::SetVideo { call: call(n), video },
        Act::Silence { n } => Action::Silence { call: call(n) },
    }
}
