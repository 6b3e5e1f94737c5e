//! A kill and what comes after it: records as the daemon would have written them, sound or damaged.
//!
//! Owns the comparison of what was written with what there is. Which messages there are is not its matter.

use std::collections::BTreeMap;

use callarbiterd::{bus::Router, store::Records as _};

use super::Bus;
use crate::{bytes::Bytes, values::Known};

/// Keys and values.
pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

impl Bus {
    /// The daemon is killed and another one goes on with what it wrote; some of that may be damaged.
    pub fn restart(&mut self, bytes: &mut Bytes<'_>) {
        let mut records = whole(&self.router);
        for key in records.keys().chain(self.stored.keys()) {
            let (is, was) = (records.get(key), self.stored.get(key));
            assert_eq!(is, was, "a change of {key:?} that was not written");
        }
        let mut sound = true;
        if bytes.one_in(3) && !records.is_empty() {
            for _ in 0..1 + bytes.below(3) {
                sound &= !damage(bytes, &mut records);
            }
        }
        let mut router = self.rules.router(self.now);
        self.open.clear();
        if let Err(why) = router.restore(records, self.now) {
            assert!(!sound, "what it wrote itself is refused: {why}");
            assert!(!why.to_string().contains(char::is_control), "{why}");
            router = self.rules.router(self.now);
        }
        if !sound {
            // Of another state, or of none: numbers begin somewhere else.
            self.revisions.clear();
            self.known = Known::default();
        }
        self.router = router;
        self.store();
        if !sound {
            self.stored = whole(&self.router);
        }
        let mut out = Vec::new();
        let present = self.here.iter().map(|name| (*name).to_owned()).collect();
        self.router.restarted(self.now, &present, &mut out);
        self.sent(out);
    }

    /// What the keeper does between a turn and its messages.
    pub fn store(&mut self) {
        let mut keys = Vec::new();
        self.router.take_unsaved(self.now, &mut keys);
        for key in keys {
            let (mut name, mut value) = (Vec::new(), Vec::new());
            self.router.write_key(key, &mut name);
            if self.router.write_value(key, &mut value) {
                self.stored.insert(name, value);
            } else {
                self.stored.remove(&name);
            }
        }
    }
}

fn whole(router: &Router) -> Records {
    let mut keys = Vec::new();
    router.keys_after(None, usize::MAX, &mut keys);
    let record = |key| {
        let (mut name, mut value) = (Vec::new(), Vec::new());
        router.write_key(key, &mut name);
        assert!(router.write_value(key, &mut value), "{key:?} is there and has no value");
        (name, value)
    };
    keys.into_iter().map(record).collect()
}

/// Changes one record; false if it is as before.
fn damage(bytes: &mut Bytes<'_>, records: &mut Records) -> bool {
    let at = bytes.below(records.len().max(1));
    let Some((key, value)) = records.iter().nth(at).map(|(k, v)| (k.clone(), v.clone())) else {
        return false;
    };
    let mut new = value.clone();
    let at = bytes.below(new.len().max(1));
    match bytes.below(6) {
        0 => {
            records.remove(&key);
            return true;
        }
        1 => new.truncate(at),
        2 => new.insert(at.min(new.len()), bytes.byte()),
        _ => {
            if let Some(changed) = new.get_mut(at) {
                *changed = bytes.byte();
            }
        }
    }
    let changed = new != value;
    records.insert(key, new);
    changed
}
