//! `Manager.Record`: what happens to a user's calls, told line by line to whoever asked for it.
//!
//! Owns which inputs are told, the bounds, and the signals. A line has no text in it that says who calls whom
//! ([`words`]); what lines there are, the core says. Nobody waits for a recorder: one that does not read, or asks for too
//! much, gets a last line that says so. Where nobody records, an input costs one look at an empty list.

mod words;

use callarbiter_core::{Input, Now, Peer, REASONS, Reply, Settings, TAPE_VERSION, Time, Uid};
use callarbiter_dbus::{Dict, Error, ErrorKind, Fields, names};
use callarbiter_records::Writer;
use callarbiter_wire::{Body, Head, Outgoing, compose};

use super::{
    admission,
    dispatch::{Answer, arguments},
    fault,
    request::Request,
    router::Router,
    turn::{Turn, built},
};
use words::Pseudonyms;

type Line<'a> = callarbiter_core::Line<&'a Input, &'a Settings>;

/// Bytes of lines in one signal: a state of many calls is told in several.
const SIGNAL_BYTES: usize = 32 * 1024;

/// One recording.
#[derive(Debug)]
pub struct Tape {
    uid: Uid,
    peer: Peer,
    words: Pseudonyms,
    /// How many lines were told.
    told: u64,
    /// Bytes that may still be told.
    left: usize,
    until: Time,
    /// It is over, and why; nobody could be told that yet.
    over: Option<&'static str>,
    /// What happens just now is its user's.
    own: bool,
    /// Lines that are not told yet.
    lines: Vec<Vec<u8>>,
}

impl Tape {
    /// Whether this connection records.
    pub fn is_of(&self, peer: Peer) -> bool {
        self.peer == peer
    }

    fn add(&mut self, line: &Line<'_>) {
        let mut bytes = Vec::new();
        Writer::with(&mut bytes, &mut self.words).record(line);
        self.push(bytes);
        for (pattern, handle) in self.words.take_alike() {
            self.add_plain(&Line::Like { pattern, handle });
        }
    }

    /// Of what has its other words already.
    fn add_plain(&mut self, line: &Line<'_>) {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).record(line);
        self.push(bytes);
    }

    fn push(&mut self, line: Vec<u8>) {
        match self.left.checked_sub(line.len()) {
            Some(left) => self.left = left,
            None => self.over = self.over.or(Some("size")),
        }
        if self.over.is_none() {
            self.lines.push(line);
        }
    }

    /// What is about to happen.
    fn hear(&mut self, now: Now, input: &Input) {
        use callarbiter_core::{Action, Word};
        let anybody;
        let mut input = input;
        match input {
            Input::Register { registration, .. } => {
                self.words.keep(&registration.app);
                registration.configuration.schemes.iter().for_each(|s| self.words.keep(s));
            }
            Input::Provider { word: Word::Configure(configuration), .. } => {
                configuration.schemes.iter().for_each(|scheme| self.words.keep(scheme));
            }
            Input::Request { actions, .. } => {
                for requested in actions {
                    if let Action::Start { provider: Some(app), .. } = &requested.action {
                        self.words.keep(app);
                    }
                }
            }
            Input::SetAuthorization { app, .. } => self.words.keep(app),
            Input::Seats { seats, .. } => seats.iter().for_each(|seat| self.words.keep(seat)),
            Input::Foreground { seat, uid } => {
                self.words.keep(seat);
                let uid = uid.map(|uid| if uid == self.uid { uid } else { Uid::OTHER });
                anybody = Input::Foreground { seat: seat.clone(), uid };
                input = &anybody;
            }
            Input::Settings(settings) => self.words.follow(settings),
            Input::SetPreferences { preferences, .. } => self.words.prefer(preferences),
            _ => {}
        }
        self.add(&Line::Input { mono: now.mono, wall: now.wall, input });
    }
}

impl Router {
    /// `Record`.
    pub(super) fn record(&mut self, turn: &mut Turn, request: &Request, member: &str) -> Answer {
        let (options,): (Dict,) = arguments(request, member)?;
        let bytes = Fields::bounded(&options)?.number("bytes")?;
        let client = &request.client;
        let (uid, peer) = (client.caller.uid, client.caller.peer);
        if !client.sees_all() {
            return Err(Error::new(
                ErrorKind::AccessDenied,
                "a recording is about all calls of the user; an app behind a wall needs the \
                 permission to control calls (org.callarbiter.control)",
            ));
        }
        if self.tapes.iter().any(|tape| tape.uid == uid) {
            return Err(fault::limit(
                "calls of this user are being recorded already; end that first",
            ));
        }
        if self.tapes.len() >= admission::RECORDINGS {
            return Err(fault::limit("too many users record their calls just now"));
        }
        let left = bytes.unwrap_or(u32::MAX).min(admission::RECORDING_BYTES) as usize;
        let mut tape = Tape {
            uid,
            peer,
            words: Pseudonyms::default(),
            told: 0,
            left,
            until: turn.now.mono + admission::RECORDING_TIME,
            over: None,
            own: true,
            lines: Vec::new(),
        };
        self.begin_tape(turn.now, &mut tape);
        if tape.over.is_some() {
            return Err(fault::limit("the state of these calls alone is more than `bytes`"));
        }
        self.tell_tape(turn, &mut tape);
        self.tapes.push(tape);
        Ok(request.done())
    }

    /// The rules, and the state as it is now.
    fn begin_tape(&self, now: Now, tape: &mut Tape) {
        let uid = tape.uid;
        let build = env!("CARGO_PKG_VERSION");
        tape.words.keep(build);
        tape.words.follow(self.arbiter.settings());
        self.arbiter.names_of(uid, &mut |name| tape.words.keep(name));
        let domain = self.arbiter.domain(uid);
        if let Some(domain) = domain {
            tape.words.prefer(domain.preferences());
        }
        self.arbiter.settings().allowance.choices.iter().for_each(|word| tape.words.keep(word));
        REASONS.iter().for_each(|word| tape.words.keep(word));
        tape.add(&Line::Begin {
            version: TAPE_VERSION,
            build: build.to_owned(),
            uid,
            mono: now.mono,
            wall: now.wall,
            revision: domain.map_or(0, |domain| domain.revision()),
            settings: self.arbiter.settings(),
        });
        for record in self.arbiter.state_of(uid, &mut tape.words) {
            tape.add_plain(&Line::Saved(record));
        }
        tape.add(&Line::Uses(self.arbiter.uses_of(uid)));
    }

    /// One input of the core, and whoever wants to know is told.
    #[cold]
    pub(super) fn recorded(
        &mut self,
        turn: &mut Turn,
        input: Input,
    ) -> callarbiter_core::Result<Reply> {
        let now = turn.now;
        let mut tapes = std::mem::take(&mut self.tapes);
        for tape in &mut tapes {
            let concerns = match &input {
                Input::PeerLost { peer } => self.arbiter.user_of(*peer) == Some(tape.uid),
                input => input.concerns(tape.uid),
            };
            let domain = self.arbiter.domain(tape.uid);
            let due = domain.and_then(|domain| domain.next_deadline());
            tape.own = concerns;
            if concerns {
                tape.hear(now, &input);
            } else if due.is_some_and(|(at, _)| at <= now.mono) {
                // What is due of anybody happens with everybody's input.
                tape.hear(now, &Input::Tick);
            }
        }
        let reply = self.arbiter.handle(now, input, &mut turn.effects);
        let refused = reply.as_ref().err().map(|refusal| refusal.error);
        for tape in &mut tapes {
            if tape.lines.is_empty() && tape.over.is_none() {
                continue;
            }
            let refused = refused.filter(|_| tape.own);
            let revision = self.arbiter.domain(tape.uid).map_or(0, |domain| domain.revision());
            tape.add_plain(&Line::Outcome { revision, refused });
            if tape.over.is_none() {
                tape.over = self.end_of(now, tape);
            }
            self.tell_tape(turn, tape);
        }
        tapes.retain(|tape| tape.over.is_none());
        self.tapes = tapes;
        reply
    }

    /// A connection does not see the calls of others any more.
    pub(super) fn stop_recording(&mut self, turn: &mut Turn, peer: Peer) {
        let (own, others): (Vec<Tape>, Vec<Tape>) =
            std::mem::take(&mut self.tapes).into_iter().partition(|tape| tape.is_of(peer));
        self.tapes = others;
        for mut tape in own {
            tape.over = Some("denied");
            self.tell_tape(turn, &mut tape);
        }
    }

    /// Why a recording ends here.
    fn end_of(&self, now: Now, tape: &Tape) -> Option<&'static str> {
        if self.debts.of(tape.uid, tape.peer) > admission::RECORDING_UNREAD_BYTES {
            return Some("unread");
        }
        if tape.words.are_too_many() {
            return Some("size");
        }
        if self.arbiter.is_gated_by_others(tape.uid) {
            return Some("seat");
        }
        (now.mono >= tape.until).then_some("time")
    }

    /// Lines that were not told, in signals of a bounded size.
    fn tell_tape(&mut self, turn: &mut Turn, tape: &mut Tape) {
        if let Some(reason) = tape.over {
            let mut last = Vec::new();
            Writer::new(&mut last).record(&Line::End { reason: reason.to_owned() });
            tape.lines.push(last);
        }
        let Some(name) = self.peers.name(tape.peer).cloned() else { return tape.lines.clear() };
        let lines = std::mem::take(&mut tape.lines);
        let mut lines = lines.as_slice();
        while !lines.is_empty() {
            let mut bytes = 0;
            let fits = |line: &&Vec<u8>| {
                bytes += line.len();
                bytes <= SIGNAL_BYTES
            };
            let count = lines.iter().take_while(fits).count().max(1);
            let (now_told, rest) = lines.split_at(count);
            lines = rest;
            let Some(signal) = built(signal(&name, tape.told, now_told)) else { continue };
            tape.told += count as u64;
            self.send(turn.now, tape.uid, tape.peer, signal, &mut turn.rest);
        }
    }
}

fn signal(to: &str, first: u64, lines: &[Vec<u8>]) -> zbus::Result<Outgoing> {
    let mut body = Body::default();
    body.u64(first);
    body.array(4, |body| lines.iter().for_each(|line| body.bytes_of(line)));
    let head = Head {
        path: names::ROOT_PATH,
        interface: names::MANAGER,
        member: "Recorded",
        signature: "taay",
        to,
        ..Head::default()
    };
    compose(&head, &body)
}
