//! What lies between two snapshots, told as the changes that lead from one to the other.
//!
//! Owns what is the same thing in both: by its number where the arbiter kept its state, by its UUID
//! alone where it did not. Of what came and went in between nothing is known.

use std::collections::BTreeMap;

use callarbiter_dbus::{names::CallPath, words::TransactionState};

use super::Snapshot;
use crate::{Call, Change, Transaction};

impl Snapshot {
    /// The changes since an older one. What is gone comes first, since numbers may be used again; what
    /// is new comes before what names it.
    pub(crate) fn since(&self, old: &Snapshot) -> Vec<Change> {
        let kept = old.manager.epoch == self.manager.epoch;
        let is_same_call = |path: &CallPath| kept || path.provider.is_none();
        let mut changes = Vec::new();
        for gone in gone(&self.transactions, &old.transactions, |_| kept) {
            changes.push(Change::TransactionRemoved(gone.clone()));
        }
        for gone in gone(&self.calls, &old.calls, is_same_call) {
            changes.push(Change::CallRemoved(Box::new(gone.clone())));
        }
        for gone in gone(&self.groups, &old.groups, |_| kept) {
            changes.push(Change::GroupRemoved(gone.clone()));
        }
        for gone in gone(&self.providers, &old.providers, |_| kept) {
            changes.push(Change::ProviderRemoved(Box::new(gone.clone())));
        }
        for (was, is) in matched(&self.providers, &old.providers, |_| kept) {
            let is = Box::new(is.clone());
            changes.push(match was {
                None => Change::ProviderAdded(is),
                Some(_) => Change::ProviderChanged(is),
            });
        }
        for (was, is) in matched(&self.groups, &old.groups, |_| kept) {
            changes.push(match was {
                None => Change::GroupAdded(is.clone()),
                Some(_) => Change::GroupChanged(is.clone()),
            });
        }
        for (was, is) in matched(&self.calls, &old.calls, is_same_call) {
            call_changes(was, is, &mut changes);
        }
        for (was, is) in matched(&self.transactions, &old.transactions, |_| kept) {
            transaction_changes(was, is, &mut changes);
        }
        if self.audio != old.audio {
            changes.push(Change::AudioChanged(self.audio.clone()));
        }
        changes
    }
}

/// What is new or different, with what it was.
fn matched<'a, K: Ord, V: PartialEq>(
    now: &'a BTreeMap<K, V>,
    old: &'a BTreeMap<K, V>,
    is_same: impl Fn(&K) -> bool,
) -> impl Iterator<Item = (Option<&'a V>, &'a V)> {
    now.iter()
        .map(move |(key, is)| (old.get(key).filter(|_| is_same(key)), is))
        .filter(|(was, is)| *was != Some(*is))
}

fn gone<'a, K: Ord, V>(
    now: &'a BTreeMap<K, V>,
    old: &'a BTreeMap<K, V>,
    is_same: impl Fn(&K) -> bool,
) -> impl Iterator<Item = &'a V> {
    old.iter().filter(move |(key, _)| !(now.contains_key(key) && is_same(key))).map(|(_, was)| was)
}

fn call_changes(was: Option<&Call>, is: &Call, changes: &mut Vec<Change>) {
    let Some(was) = was else { return changes.push(Change::CallAdded(Box::new(is.clone()))) };
    let changed = is.changed_since(was).into_iter().map(str::to_owned).collect();
    changes.push(Change::CallChanged { call: Box::new(is.clone()), changed });
    if was.state != is.state {
        changes.push(Change::Transition {
            call: is.object,
            old: was.state.clone(),
            new: is.state.clone(),
            reason: is.reason.clone(),
        });
    }
}

fn transaction_changes(was: Option<&Transaction>, is: &Transaction, changes: &mut Vec<Change>) {
    let Some(was) = was else { return changes.push(Change::TransactionAdded(is.clone())) };
    changes.push(Change::TransactionChanged(is.clone()));
    if was.state != TransactionState::Finished && is.state == TransactionState::Finished {
        let (number, results) = (is.number, is.actions.clone());
        changes.push(Change::TransactionFinished { number, results });
    }
}
