//! The history as an agent keeps it: each call once.
//!
//! Owns what was written down, and what must have been in the end.

use std::collections::{BTreeMap, BTreeSet};

use callarbiter_core::*;

#[derive(Default)]
pub struct History {
    /// Calls that are over and whose apps let the user keep them.
    ended: BTreeSet<(Uid, CallId)>,
    /// What an agent was asked to write down and may still answer.
    open: BTreeMap<(Uid, RequestId), (Caller, CallId, String)>,
    kept: BTreeSet<(Uid, CallId)>,
    ids: BTreeSet<(Uid, String)>,
}

impl History {
    pub fn ended(&mut self, uid: Uid, domain: &Domain, id: CallId) {
        let call = domain.call(id).expect("what has just ended");
        let provider = domain.provider(call.provider).expect("its app");
        if provider.configuration.records != Records::None {
            assert!(self.ended.insert((uid, id)), "it ended twice");
        }
    }

    pub fn offered(&mut self, uid: Uid, request: RequestId, agent: Caller, record: &Record) {
        assert!(!self.kept.contains(&(uid, record.call)), "written down already");
        assert_eq!(record.lost, 0, "nobody misses so many calls");
        let whole = record.records == Records::Full;
        assert!(whole || record.handle.is_empty(), "what its app keeps to itself");
        self.open.insert((uid, request), (agent, record.call, record.id().to_string()));
    }

    /// Whether this was about a record.
    pub fn answered(&mut self, uid: Uid, request: RequestId, kept: bool) -> bool {
        let Some((_, call, id)) = self.open.remove(&(uid, request)) else { return false };
        if kept {
            assert!(self.kept.insert((uid, call)), "written down twice");
            assert!(self.ids.insert((uid, id)), "an id came again");
        }
        true
    }

    pub fn next(&self) -> Option<(RequestId, Caller)> {
        self.open.first_key_value().map(|((_, request), (agent, ..))| (*request, *agent))
    }

    pub fn forget(&mut self, uid: Uid, request: RequestId) {
        self.open.remove(&(uid, request));
    }

    /// At rest.
    pub fn has_all(&self) {
        assert_eq!(self.ended, self.kept, "calls that ended, and the history");
    }
}
