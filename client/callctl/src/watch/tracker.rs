//! What the client library reports, turned into what happened in words.
//!
//! Owns the comparison of one moment with the next. States come from the arbiter's own transitions,
//! which tell even those that lasted no longer than a turn; everything else is compared.

use callarbiter::{CallState, Change, Object, Snapshot};

use crate::{
    board::board,
    view::Board,
    watch::happenings::{Happening, States, between},
};

pub struct Tracker {
    pub board: Board,
}

impl Tracker {
    pub fn new(snapshot: &Snapshot) -> Self {
        Tracker { board: board(snapshot) }
    }

    /// What happened with this change, which the snapshot has already.
    pub fn follow(&mut self, change: &Change, snapshot: &Snapshot) -> Vec<Happening> {
        let now = board(snapshot);
        let before = std::mem::replace(&mut self.board, now);
        let compare = |states| between(&before, &self.board, states);
        match change {
            Change::ArbiterGone => vec![Happening::Arbiter { running: false }],
            // What became different meanwhile follows, change by change.
            Change::ArbiterBack => {
                let mut found = vec![Happening::Arbiter { running: true }];
                found.extend(compare(States::Told));
                found
            }
            Change::CallRemoved(call) if call.state != CallState::Ended => {
                let mut found = compare(States::Told);
                found.push(Happening::State {
                    call: call.id.to_string(),
                    app: call.app_id.clone(),
                    old: call.state.to_string(),
                    new: CallState::Ended.to_string(),
                    reason: String::new(),
                });
                found
            }
            Change::Notice { kind, message, .. } => vec![Happening::Notice {
                kind: kind.to_string(),
                message: message.reveal().to_owned(),
            }],
            // A new call is told as a call, with the state that it has.
            Change::Transition { old, .. } if old.as_str().is_empty() => compare(States::Told),
            Change::Transition { call, old, new, reason } => {
                let path = Object::Call(*call).to_string();
                let app = [&self.board, &before].into_iter().find_map(|board| {
                    board.call_at(&path).map(|call| board.app_name(call).to_owned())
                });
                let mut found = compare(States::Told);
                found.push(Happening::State {
                    call: call.uuid.to_string(),
                    app: app.unwrap_or_default(),
                    old: old.to_string(),
                    new: new.to_string(),
                    reason: reason.clone(),
                });
                found
            }
            _ => compare(States::Told),
        }
    }
}
