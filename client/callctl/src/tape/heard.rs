//! What the arbiter heard when it was recorded, as sentences.
//!
//! Owns their words.

use callarbiter_core::{Action, CallRef, DoNotDisturb, Domain, Input, Private, ProviderId, Word};

use super::{
    file::Heard,
    play::Player,
    tell::{app, short, uuid_of},
};

/// What the arbiter heard, in a sentence.
pub fn sentence(heard: &Heard, player: &Player) -> String {
    let domain = player.arbiter.domain(player.uid);
    let of = |id: ProviderId| domain.map_or_else(String::new, |domain| app(domain, id));
    match &heard.input {
        Input::Register { registration, .. } => format!("{} registers", registration.app),
        Input::Provider { provider, word, .. } => said(&of(*provider), word, player),
        Input::Request { actions, .. } => {
            let wanted = actions.iter().map(|wanted| action(domain, &wanted.action));
            format!("somebody asks to {}", wanted.collect::<Vec<_>>().join(" and "))
        }
        Input::Cancel { transaction, .. } => format!("somebody stops transaction {transaction}"),
        Input::TakeRoles { roles, .. } => {
            let roles: Vec<&str> = roles.iter().map(|role| role.name()).collect();
            format!("an agent takes {}", roles.join(", "))
        }
        Input::SetDoNotDisturb { mode, allow, .. } => {
            let mode = match mode {
                DoNotDisturb::Off => "off",
                DoNotDisturb::Quiet => "on, quietly",
                DoNotDisturb::Refuse => "on",
            };
            match allow.len() {
                0 => format!("do-not-disturb is {mode}"),
                some => format!("do-not-disturb is {mode}, but for {some} handles"),
            }
        }
        Input::SetPreferences { preferences, .. } => {
            format!("the user's preferences have {} rules", preferences.rules.len())
        }
        Input::AgentReply { request, answer, .. } => {
            let role = player.question(*request).map_or("what it was asked", |asked| asked.action);
            let how = if answer.error.is_some() { "could not" } else { "answers" };
            format!("the agent {how}: {role}")
        }
        Input::SetEndpoints { endpoints, .. } => {
            format!("the sound can go to {} places", endpoints.len())
        }
        Input::SelectEndpoint { .. } => "somebody wants the sound elsewhere".to_owned(),
        Input::ReportViolation { provider, .. } => {
            format!("{} streams without the audio", of(*provider))
        }
        Input::SetAuthorization { app, authorization, .. } => {
            format!("the user decides that {app} is {}", authorization.name())
        }
        Input::ForgetCalls { records, .. } => {
            format!("the user erased {} calls from the history", records.len())
        }
        Input::Restarted { .. } => "the arbiter was restarted".to_owned(),
        Input::PeerLost { peer } => format!("connection {peer} leaves the bus"),
        Input::Seats { seats, .. } => match seats.len() {
            0 => "the user has no seat".to_owned(),
            _ => format!("the user has sessions on {}", seats.join(", ")),
        },
        Input::Foreground { seat, uid } => match uid {
            Some(uid) if *uid == player.uid => format!("the user has {seat}"),
            Some(_) => format!("another user has {seat}"),
            None => format!("nobody has {seat}"),
        },
        Input::Locked { locked: true, .. } => "the session is locked".to_owned(),
        Input::Locked { locked: false, .. } => "the session is not locked any more".to_owned(),
        Input::Suspend(true) => "the machine is about to sleep".to_owned(),
        Input::Suspend(false) => "the machine is awake".to_owned(),
        Input::Settings(_) => "the configuration was read again".to_owned(),
        Input::Tick => "time passes".to_owned(),
    }
}

fn said(app: &str, word: &Word, player: &Player) -> String {
    let from = |handle: &Option<Private>| match handle.as_ref().map(Private::reveal) {
        None | Some("") => "nobody knows whom".to_owned(),
        Some(handle) => handle.to_owned(),
    };
    let asked = |id| player.question(id).map_or("what it was asked", |asked| asked.action);
    match word {
        Word::Incoming { uuid, update } => {
            format!("{app} reports call {} from {}", short(*uuid), from(&update.handle))
        }
        Word::Live { uuid, state, update, .. } => {
            let with = from(&update.handle);
            format!("{app} has call {} with {with}: {}", short(*uuid), state.name())
        }
        Word::Update { uuid, .. } => format!("{app} tells more of call {}", short(*uuid)),
        Word::State { uuid, state: Some(state), .. } => {
            format!("{app} says that call {} is {}", short(*uuid), state.name())
        }
        Word::State { uuid, remote_held, .. } => {
            let held = if *remote_held == Some(true) { "holds" } else { "does not hold" };
            format!("{app} says that the far end {held} call {}", short(*uuid))
        }
        Word::Ended { uuid, reason, .. } => {
            format!("{app} says that call {} is over: {}", short(*uuid), reason.name())
        }
        Word::Fulfil { request, .. } => format!("{app} did it: {}", asked(*request)),
        Word::Fail { request, error, .. } => {
            format!("{app} could not: {} ({error:?})", asked(*request))
        }
        Word::Progress { request, .. } => format!("{app} needs more time: {}", asked(*request)),
        Word::Configure(_) => format!("{app} tells more of itself"),
        Word::Authorize => format!("{app} would like to be allowed"),
        Word::Unregister => format!("{app} leaves"),
    }
}

fn action(domain: Option<&Domain>, wanted: &Action) -> String {
    let call = |of: &CallRef| match of {
        CallRef::Uuid(uuid) | CallRef::Of(_, uuid) => short(*uuid),
        CallRef::Id(id) => {
            domain.and_then(|domain| uuid_of(domain, *id)).map_or_else(String::new, short)
        }
    };
    match wanted {
        Action::Start { uuid, handle, .. } => {
            format!("call {} as {}", handle.reveal(), short(*uuid))
        }
        Action::Answer { call: of } => format!("answer {}", call(of)),
        Action::End { call: of, .. } => format!("end {}", call(of)),
        Action::SetHeld { call: of, held: true } => format!("hold {}", call(of)),
        Action::SetHeld { call: of, held: false } => format!("resume {}", call(of)),
        Action::SetMuted { call: of, muted: true } => format!("mute {}", call(of)),
        Action::SetMuted { call: of, muted: false } => format!("unmute {}", call(of)),
        Action::SetGroup { call: of, with: Some(with) } => {
            format!("join {} to {}", call(of), call(with))
        }
        Action::SetGroup { call: of, with: None } => format!("take {} out of its group", call(of)),
        Action::PlayDtmf { call: of, .. } => format!("play tones in {}", call(of)),
        Action::SetVideo { call: of, video: true } => format!("turn video on in {}", call(of)),
        Action::SetVideo { call: of, video: false } => format!("turn video off in {}", call(of)),
        Action::Silence { call: of } => format!("silence {}", call(of)),
    }
}
