//! A subscriber as any client is: it knows only what changes told it.
//!
//! Owns its copy and the comparison with what can be read. Values are read when a change names them, as
//! the shell does it, after the turn.

use std::{collections::BTreeMap, fmt::Write};

use callarbiter_core::*;

type Properties = BTreeMap<&'static str, String>;

#[derive(Default)]
pub struct Observer {
    revision: u64,
    objects: BTreeMap<Object, Properties>,
    /// Where each call stood by its transitions alone.
    states: BTreeMap<CallId, CallState>,
    finished: Vec<TransactionId>,
}

impl Observer {
    /// One change, after the turn it belongs to.
    pub fn see(&mut self, domain: &Domain, revision: u64, change: &Change) {
        self.revision += 1;
        assert_eq!(revision, self.revision, "a gap in the revisions at {change:?}");
        match change {
            Change::Added(object) => {
                let all = properties(domain, *object);
                let all = all.unwrap_or_else(|| panic!("{object:?} was added and cannot be read"));
                let before = self.objects.insert(*object, all);
                assert!(before.is_none(), "{object:?} was added twice");
            }
            Change::Changed(object, names) => {
                let now = properties(domain, *object);
                let now = now.unwrap_or_else(|| panic!("{object:?} changed and cannot be read"));
                assert!(names.contains("Revision") && names.len() > 1, "{object:?}: {names:?}");
                if *object == Object::Audio {
                    self.objects.entry(*object).or_default();
                }
                let known = self.objects.get_mut(object);
                let known = known.unwrap_or_else(|| panic!("{object:?} changed unknown"));
                for name in names {
                    let value = now.get(name);
                    let value = value.unwrap_or_else(|| panic!("{object:?} has no {name}"));
                    known.insert(name, value.clone());
                }
            }
            Change::Removed(object) => {
                let known = self.objects.remove(object);
                assert!(known.is_some(), "{object:?} was removed unknown");
                if let Object::Call(call) = object {
                    let last = self.states.remove(call);
                    assert_eq!(last, Some(CallState::Ended), "removed before its end");
                }
            }
            Change::Transition { call, old, new, .. } => {
                assert!(self.objects.contains_key(&Object::Call(*call)), "an unknown call moved");
                assert_ne!(old, new, "no transition at all");
                assert_ne!(*old, CallState::Ended, "ended is final");
                if let Some(last) = self.states.insert(*call, *new) {
                    assert_eq!(last, *old, "a transition from where it was not");
                }
            }
            Change::Finished(transaction) => {
                let known = self.objects.contains_key(&Object::Transaction(*transaction));
                assert!(known, "an unknown transaction finished");
                assert!(!self.finished.contains(transaction), "finished twice");
                self.finished.push(*transaction);
            }
            Change::Notice { call, .. } => {
                assert!(self.objects.contains_key(&Object::Call(*call)), "a notice of no call");
            }
        }
    }

    /// What it knows is what can be read.
    pub fn compare(&self, domain: &Domain) {
        assert_eq!(self.revision, domain.revision());
        let mut all: BTreeMap<Object, Properties> = BTreeMap::new();
        let objects = domain.calls().map(|c| Object::Call(c.id));
        let objects = objects.chain(domain.providers().map(|p| Object::Provider(p.id)));
        let objects = objects.chain(domain.groups().map(|g| Object::Group(g.id)));
        let objects = objects.chain(domain.transactions().map(|t| Object::Transaction(t.id)));
        for object in objects {
            all.insert(object, properties(domain, object).unwrap());
        }
        if self.objects.contains_key(&Object::Audio) {
            all.insert(Object::Audio, properties(domain, Object::Audio).unwrap());
        } else {
            assert_eq!(*domain.audio(), AudioSession::default(), "the audio moved unseen");
        }
        for (object, known) in &self.objects {
            let real = all.get(object);
            let real = real.unwrap_or_else(|| panic!("{object:?} is gone unseen"));
            for (name, value) in known {
                assert_eq!(Some(value), real.get(name), "{object:?}.{name} changed unseen");
            }
        }
        for object in all.keys() {
            assert!(self.objects.contains_key(object), "{object:?} came unseen");
        }
        for call in domain.calls() {
            let last = self.states.get(&call.id);
            assert!(last.is_none_or(|s| *s == call.state), "{:?} moved unseen", call.id);
        }
    }
}

/// All that a client can read of an object.
fn properties(domain: &Domain, object: Object) -> Option<Properties> {
    let mut all = Properties::new();
    let mut put = |name: &'static str, value: &dyn std::fmt::Debug| {
        let mut text = String::new();
        write!(text, "{value:?}").unwrap();
        all.insert(name, text);
    };
    match object {
        Object::Audio => {
            let a = domain.audio();
            put("Holder", &a.holder);
            put("Phase", &a.phase);
            put("Generation", &a.generation);
            put("Since", &a.since);
            put("Enforced", &a.enforced);
            put("Endpoints", &a.endpoints);
            put("Endpoint", &a.endpoint);
            put("Revision", &a.revision);
        }
        Object::Provider(id) => {
            let p = domain.provider(id)?;
            put("AppId", &p.app);
            put("AppIdSource", &p.source);
            put("Instance", &p.instance);
            put("DisplayName", &p.configuration.display_name);
            put("Configuration", &p.configuration);
            put("Authorization", &p.authorization);
            put("Attached", &p.peer.is_some());
            put("Responsive", &p.responsive);
            put("Revision", &p.revision);
        }
        Object::Call(id) => {
            let c = domain.call(id)?;
            put("Id", &c.uuid);
            put("Provider", &c.provider);
            put("Direction", &c.direction);
            put("State", &c.state);
            put("Reason", &c.reason);
            put("RemoteHandle", &c.handle.reveal());
            put("DisplayName", &c.shown_name().reveal());
            put("NameSource", &c.name_source());
            put("ContactId", &c.known.as_ref().map(|known| known.id.reveal()));
            put("HasVideo", &c.video);
            put("Muted", &c.muted);
            put("MuteEnforced", &c.mute_enforced);
            put("HeldBy", &c.held_by);
            put("RemoteHeld", &c.remote_held);
            put("Group", &c.group);
            put("Capabilities", &c.can);
            put("Waiting", &c.waiting);
            put("Silenced", &c.silenced);
            put("Orphaned", &c.orphaned);
            put("Emergency", &c.emergency);
            put("Encrypted", &c.encrypted);
            put("CreatedAt", &c.created_at);
            put("ConnectedAt", &c.connected_at);
            put("EndedAt", &c.ended_at);
            put("EndReason", &c.end.as_ref().map(|e| e.reason));
            put("EndDetail", &c.end.as_ref().map(|e| e.detail.reveal()));
            put("RingDeadline", &c.ring_deadline_wall);
            put("AnswerPlan", &c.answer_plan);
            put("Revision", &c.revision);
        }
        Object::Group(id) => {
            let g = domain.group(id)?;
            put("Calls", &g.calls);
            put("Provider", &g.provider);
            put("State", &domain.group_state(id));
            put("Audio", &g.audio);
            put("Revision", &g.revision);
        }
        Object::Transaction(id) => {
            let t = domain.transaction(id)?;
            put("State", &t.finished);
            put("Origin", &t.origin);
            put("Actions", &t.actions.iter().map(|s| &s.outcome).collect::<Vec<_>>());
            put("CreatedAt", &t.created_at);
            put("Revision", &t.revision);
        }
    }
    Some(all)
}
