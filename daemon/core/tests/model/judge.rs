//! The judge of a turn: one input, and everything that must be true of what it did.
//!
//! Owns the laws about whole turns: a refusal changes nothing, one user's input does nothing to another,
//! and who only listens knows all that can be read. What the operation was meant to do is not asked here.

use callarbiter_core::*;

use super::{harness::Harness, op::*};
use crate::world::*;

impl Harness {
    /// One input, and everything that must be true of its turn. `of`: whose it is alone.
    pub fn input(&mut self, of: Option<Uid>, input: Input) -> Result<Reply> {
        let names = names(&input);
        let late = matches!(input, Input::Provider { word: Word::Fulfil { .. }, .. });
        let answered = match &input {
            Input::AgentReply { request, answer, .. } => Some((*request, answer.error.is_none())),
            _ => None,
        };
        let before = of.filter(|_| self.thorough).and_then(|uid| self.whole(uid));
        let reply = self.world.handle(input);
        self.store.append(&mut self.world.arbiter, self.thorough);
        self.inputs += 1;
        self.refused = reply.as_ref().err().map(|why| why.error);
        for name in names {
            self.counts.entry(name).or_default()[usize::from(reply.is_err())] += 1;
        }
        if let (Some(uid), Ok(Reply::Transaction(id, _))) = (of, &reply) {
            self.laws.accepted(uid, *id);
            let known = self.transactions.entry(uid).or_default();
            if !known.contains(id) {
                known.push(*id);
            }
        }
        if let (Some(uid), Some((request, kept)), Ok(_)) = (of, answered, &reply)
            && self.laws.history.answered(uid, request, kept)
        {
            self.counts.entry("Recorded").or_default()[usize::from(!kept)] += 1;
        }
        if let (Some(uid), Ok(Reply::Screening(call))) = (of, &reply) {
            self.laws.screening(uid, *call);
        }
        let effects = std::mem::take(&mut self.world.effects);
        // Refused or not, a word shows that the app is there.
        let heard = |e: &Effect| {
            matches!(e, Effect::Publish { change: Change::Changed(Object::Provider(_), names), .. }
                if names == &["Responsive", "Revision"])
        };
        let noted = late && reply.as_ref().is_err_and(|why| why.error == Error::TimedOut);
        if reply.is_err() && !noted {
            assert!(effects.iter().all(heard), "refused ({reply:?}), and yet: {effects:?}");
        }
        for effect in &effects {
            let uid = user(effect);
            if of.is_some_and(|of| of != uid) {
                let shared =
                    self.seats.get(&ALICE) == Some(&true) && self.seats.get(&BOB) == Some(&true);
                assert!(shared && about_audio(effect), "of another user: {effect:?}");
            }
            self.laws.effect(effect);
            match effect {
                Effect::Publish { revision, change, .. } => {
                    let domain = self.world.arbiter.domain(uid).expect("a domain");
                    self.observers.entry(uid).or_default().see(domain, *revision, change);
                    if let Change::Transition { old: CallState::Launching, new, .. } = change {
                        let came = *new == CallState::Starting;
                        self.counts.entry("Launching").or_default()[usize::from(!came)] += 1;
                    }
                    if let Change::Transition { call, new: CallState::Ended, reason, .. } = change {
                        let uuid = domain.call(*call).expect("what has just ended").uuid;
                        self.ends.push((uuid.as_u128(), reason));
                        self.laws.history.ended(uid, domain, *call);
                    }
                }
                Effect::TimedOut { request, .. } => self.close(uid, *request),
                Effect::Screened { outcome, .. } => {
                    let outcome = usize::from(outcome.is_err());
                    self.counts.entry("Screened").or_default()[outcome] += 1;
                }
                Effect::AskAgent { peer, request, ask, .. } => {
                    let agent = Caller {
                        uid,
                        peer: *peer,
                        sandboxed: false,
                        control: true,
                        place_call: true,
                        agent: true,
                    };
                    if let AgentAsk::Record { number } = ask {
                        let domain = self.world.arbiter.domain(uid).expect("a domain");
                        let record = domain.record(*number).expect("what is to be written down");
                        self.laws.history.offered(uid, *request, agent, record);
                    }
                    self.errands.push((agent, *request));
                }
                _ => {}
            }
        }
        for uid in [ALICE, BOB] {
            let Some(domain) = self.world.arbiter.domain(uid) else { continue };
            self.laws.compare(domain, uid);
            self.observers.entry(uid).or_default().compare(domain);
        }
        let refused = reply.is_err() && !noted && effects.is_empty();
        if let Some(before) = before.filter(|_| refused) {
            let after = self.whole(of.unwrap()).unwrap();
            let same = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
            let near = |text: &str| text[same.saturating_sub(200)..].chars().take(300).collect();
            let (was, is): (String, String) = (near(&before), near(&after));
            assert!(before == after, "refused ({reply:?}), and yet: {was}\n is now: {is}");
        }
        reply
    }

    /// All that a domain is, after a refusal that is known to change nothing.
    fn whole(&mut self, uid: Uid) -> Option<String> {
        self.world.arbiter.domain(uid)?;
        let caller = Caller {
            uid,
            peer: Peer(0),
            sandboxed: true,
            control: false,
            place_call: false,
            agent: false,
        };
        let transaction = TransactionId(u32::MAX);
        self.world.handle(Input::Cancel { caller, transaction }).unwrap_err();
        assert!(self.world.effects.is_empty(), "a turn without reason: {:?}", self.world.effects);
        let all = format!("{:?}", self.world.arbiter.domain(uid)?);
        // What the last turn did is no state.
        Some(all.split_once(" turn: Turn {").expect("the field `turn`").0.to_owned())
    }
}

fn names(input: &Input) -> Vec<&'static str> {
    let mut names = vec![name_of_input(input)];
    if let Input::Request { actions, .. } = input {
        names.extend(actions.iter().map(|r| name_of_action(&r.action)));
    }
    names
}

fn user(effect: &Effect) -> Uid {
    match effect {
        Effect::Ask { uid, .. }
        | Effect::AskAgent { uid, .. }
        | Effect::AgentAnswered { uid, .. }
        | Effect::Screened { uid, .. }
        | Effect::TimedOut { uid, .. }
        | Effect::AuthorizationSet { uid, .. }
        | Effect::Publish { uid, .. }
        | Effect::Finished { uid, .. }
        | Effect::RoleLost { uid, .. }
        | Effect::RoleFree { uid, .. } => *uid,
        Effect::Logged(event) => event.uid,
    }
}

/// What the other user of a seat may see of one's turn: that the audio is free.
fn about_audio(effect: &Effect) -> bool {
    match effect {
        Effect::Ask { ask, .. } => {
            matches!(ask, Ask::AudioActivated { .. } | Ask::SetMuted { .. })
        }
        Effect::AskAgent { ask, .. } => matches!(ask, AgentAsk::Audio(_)),
        Effect::Publish { change, .. } => {
            matches!(change, Change::Changed(Object::Audio | Object::Group(_), _))
        }
        Effect::Logged(event) => event.what == Happening::AudioGranted,
        _ => false,
    }
}
