//! What the client library reports, turned into what happened in words.
//!
//! Owns the comparison of one moment with the next. States come from the arbiter's own transitions,
//! which tell even those that lasted no longer than a turn; everything else is compared.

use callarbiter::{CallPath, CallState, Change, Object, Snapshot};

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
        let app = |before: &Board, call: CallPath| {
            let path = Object::Call(call).to_string();
            let name = |board: &Board| Some(board.app_name(board.call_at(&path)?).to_owned());
            name(&self.board).or_else(|| name(before))
        };
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
            Change::Notice { kind, call, message } => vec![Happening::Notice {
                kind: kind.to_string(),
                call: call.map(|call| call.uuid.to_string()).unwrap_or_default(),
                app: call.and_then(|call| app(&before, call)).unwrap_or_default(),
                message: message.reveal().to_owned(),
            }],
            // A new call is told as a call, with the state that it has.
            Change::Transition { old, .. } if old.as_str().is_empty() => compare(States::Told),
            Change::Transition { call, old, new, reason } => {
                let app = app(&before, *call);
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
