//! Whether an app may provide calls, where the administrator's polkit rules say so before anybody asks the user.
//!
//! Owns these questions to polkit, and the registrations that wait for them: each registration asks anew, unless the
//! configuration has decided. Yes and no are the administrator's word. That the user has to agree, which is what the
//! action says where no rule does, leaves it to the user, as does a polkit that fails, is absent or is silent.

use std::{collections::VecDeque, num::NonZeroU32, sync::Arc};

use callarbiter_core::{Decider, Millis, Now, Peer, Time, Uid};
use callarbiter_dbus::Error;
use callarbiter_wire::Outgoing;
use zbus::Message;

use super::{
    admission, fault, numbers::ByNumber, permission, request::Request, router::Router, turn::Turn,
};

/// What `systemd/org.callarbiter.policy` declares.
const ACTION: &str = "org.callarbiter.provide-calls";

/// How long polkit may take, so long that the bus can start it.
const PATIENCE: Millis = Millis::secs(5);

/// Registrations of one user that wait at once: all the apps of a session that starts.
const WAITING_PER_USER: usize = 64;

/// A registration that waits.
struct Waiting {
    uid: Uid,
    peer: Peer,
    app: Arc<str>,
    until: Time,
    request: Request,
    /// The question, once it is asked.
    question: Option<NonZeroU32>,
}

/// What polkit said of an app's connection.
struct Word {
    app: Arc<str>,
    allowed: Option<bool>,
}

/// The registrations that wait, the oldest first, and what polkit said of those that may go on.
#[derive(Default)]
pub struct Presets {
    waiting: VecDeque<Waiting>,
    said: ByNumber<Peer, Word>,
    ready: Vec<Request>,
}

impl Presets {
    /// Until then the first waits.
    pub fn next_deadline(&self) -> Option<Time> {
        self.waiting.front().map(|waiting| waiting.until)
    }

    /// A connection left, and what it sent with it.
    pub fn left(&mut self, peer: Peer) {
        self.waiting.retain(|waiting| waiting.peer != peer);
        self.said.remove(&peer);
        self.ready.retain(|request| request.client.caller.peer != peer);
    }

    /// The next question, if one may be sent now.
    fn next_question(&mut self) -> Option<Message> {
        let open = self.waiting.iter().filter(|waiting| waiting.question.is_some()).count();
        if open >= admission::PRESET_QUESTIONS {
            return None;
        }
        let next = self.waiting.iter_mut().find(|waiting| waiting.question.is_none())?;
        let question =
            permission::question(&next.request.client.name, Some(&next.app), ACTION).ok()?;
        next.question = Some(question.primary_header().serial_num());
        Some(question)
    }

    /// It is decided, as far as polkit decides it.
    fn go_on(&mut self, waiting: Waiting, allowed: Option<bool>) {
        self.said.insert(waiting.peer, Word { app: waiting.app, allowed });
        self.ready.push(waiting.request);
    }
}

/// Whether a registration can go on.
pub enum Preset {
    /// With this word of polkit's, if it has one.
    Known(Option<bool>),
    /// It waits.
    Asked,
}

impl Router {
    /// What polkit says of an app that registers.
    pub(super) fn preset(
        &mut self,
        turn: &mut Turn,
        request: &Request,
        app: &Arc<str>,
    ) -> Result<Preset, Error> {
        let caller = request.client.caller;
        if let Some(word) = self.presets.said.remove(&caller.peer)
            && word.app == *app
        {
            return Ok(Preset::Known(word.allowed));
        }
        let decided = self.arbiter.authorized_by(caller.uid, app);
        if !self.has_polkit() || matches!(decided, Some((_, Decider::Administrator))) {
            return Ok(Preset::Known(None));
        }
        let of_user = self.presets.waiting.iter().filter(|waiting| waiting.uid == caller.uid);
        if of_user.count() >= WAITING_PER_USER {
            return Err(fault::limit("too many registrations wait for polkit; wait for replies"));
        }
        self.presets.waiting.push_back(Waiting {
            uid: caller.uid,
            peer: caller.peer,
            app: app.clone(),
            until: turn.now.mono + PATIENCE,
            request: request.clone(),
            question: None,
        });
        turn.rest.extend(self.presets.next_question().map(Outgoing::from));
        Ok(Preset::Asked)
    }

    /// A reply; false if it was to none of these questions.
    pub(super) fn preset_answered(
        &mut self,
        now: Now,
        question: NonZeroU32,
        answer: &Message,
        out: &mut Vec<Outgoing>,
    ) -> bool {
        let asked = |waiting: &Waiting| waiting.question == Some(question);
        let Some(at) = self.presets.waiting.iter().position(asked) else { return false };
        let Some(waiting) = self.presets.waiting.remove(at) else { return false };
        let allowed = match permission::decision(answer) {
            Some((true, _)) => Some(true),
            Some((false, false)) => Some(false),
            Some((false, true)) | None => None,
        };
        self.presets.go_on(waiting, allowed);
        out.extend(self.presets.next_question().map(Outgoing::from));
        self.hear_preset(now, out);
        true
    }

    /// Goes on with registrations that have waited long enough.
    pub(super) fn stop_waiting_for_presets(&mut self, now: Now, out: &mut Vec<Outgoing>) {
        while self.presets.next_deadline().is_some_and(|until| until <= now.mono) {
            let Some(waiting) = self.presets.waiting.pop_front() else { break };
            self.presets.go_on(waiting, None);
        }
        self.hear_preset(now, out);
    }

    fn hear_preset(&mut self, now: Now, out: &mut Vec<Outgoing>) {
        for request in std::mem::take(&mut self.presets.ready) {
            self.heard(now, request, out);
        }
    }
}
