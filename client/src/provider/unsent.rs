//! What the arbiter has not heard because it was away.
//!
//! Owns the order, and the bound: of each call only the latest word of each kind is kept, and nothing
//! but its end once it is over. What was told to the arbiter before is no concern of this module.

use std::collections::VecDeque;

use callarbiter_dbus::{CallUpdate, EndDetails, words::EndReason};
use uuid::Uuid;

use super::ledger::merge;

/// More than an app has calls; what is older is given up.
const KEPT: usize = 1024;

/// Something that happened to a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fact {
    /// It is in another state; in which one the ledger knows.
    State,
    RemoteHeld(bool),
    Update(CallUpdate),
    Ended(EndReason, EndDetails),
}

#[derive(Debug, Default)]
pub(super) struct Unsent(VecDeque<(Uuid, Fact)>);

impl Unsent {
    pub fn push(&mut self, call: Uuid, fact: Fact) {
        let is_over = |(of, fact): &(Uuid, Fact)| *of == call && matches!(fact, Fact::Ended(..));
        if self.0.iter().any(is_over) {
            return;
        }
        let fact = match fact {
            Fact::Update(update) => Fact::Update(self.merged(call, update)),
            fact => fact,
        };
        let replaces = |old: &Fact| match fact {
            Fact::Ended(..) => true,
            _ => std::mem::discriminant(old) == std::mem::discriminant(&fact),
        };
        self.0.retain(|(of, old)| *of != call || !replaces(old));
        if self.0.len() == KEPT {
            tracing::warn!("the call arbiter is away for long; the oldest report is given up");
            self.0.pop_front();
        }
        self.0.push_back((call, fact));
    }

    fn merged(&self, call: Uuid, update: CallUpdate) -> CallUpdate {
        let earlier = self.0.iter().find_map(|(of, fact)| match fact {
            Fact::Update(earlier) if *of == call => Some(earlier.clone()),
            _ => None,
        });
        let mut merged = earlier.unwrap_or_default();
        merge(&mut merged, &update);
        merged
    }

    /// What is to be told next; it stays until it was heard.
    pub fn first(&self) -> Option<&(Uuid, Fact)> {
        self.0.front()
    }

    /// The first was heard, or is not wanted.
    pub fn done(&mut self) {
        self.0.pop_front();
    }

    /// Forgets everything but ends: what lives is told anew.
    pub fn keep_ends(&mut self) {
        self.0.retain(|(_, fact)| matches!(fact, Fact::Ended(..)));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ended() -> Fact {
        Fact::Ended(EndReason::RemoteEnded, EndDetails::default())
    }

    fn all(mut unsent: Unsent) -> Vec<(u128, Fact)> {
        std::iter::from_fn(|| {
            let (call, fact) = unsent.first()?.clone();
            unsent.done();
            Some((call.as_u128(), fact))
        })
        .collect()
    }

    #[test]
    fn the_latest_word_of_each_kind_in_the_order_of_the_last() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut unsent = Unsent::default();
        unsent.push(one, Fact::State);
        unsent.push(one, Fact::RemoteHeld(true));
        unsent.push(two, Fact::State);
        unsent.push(one, Fact::State);
        unsent.push(one, Fact::RemoteHeld(false));
        let expected = [(2, Fact::State), (1, Fact::State), (1, Fact::RemoteHeld(false))];
        assert_eq!(all(unsent), expected);
    }

    #[test]
    fn updates_are_one() {
        let one = Uuid::from_u128(1);
        let name =
            |name: &str| CallUpdate { display_name: Some(name.into()), ..CallUpdate::default() };
        let video = CallUpdate { has_video: Some(true), ..CallUpdate::default() };
        let mut unsent = Unsent::default();
        unsent.push(one, Fact::Update(name("Alice")));
        unsent.push(one, Fact::Update(video));
        unsent.push(one, Fact::Update(name("Bob")));
        let both = CallUpdate { has_video: Some(true), ..name("Bob") };
        assert_eq!(all(unsent), [(1, Fact::Update(both))]);
    }

    #[test]
    fn of_a_call_that_is_over_only_its_end() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut unsent = Unsent::default();
        unsent.push(one, Fact::State);
        unsent.push(two, Fact::State);
        unsent.push(one, ended());
        unsent.push(one, Fact::State);
        assert_eq!(all(unsent), [(2, Fact::State), (1, ended())]);
    }

    #[test]
    fn the_oldest_is_given_up() {
        let mut unsent = Unsent::default();
        for n in 0..=KEPT {
            unsent.push(Uuid::from_u128(n as u128), ended());
        }
        assert_eq!(unsent.0.len(), KEPT);
        assert_eq!(unsent.first().unwrap().0, Uuid::from_u128(1));
    }
}
