//! Who is told what changes, and who is too slow to be told.
//!
//! Owns subscriptions and how far each subscriber is behind. A bus drops signals to a receiver that does
//! not read; so that nobody misses one unawares, a subscriber is asked now and then whether it has
//! read what it got (a `Ping`, answered in order), and one that has too much unread gets no more
//! until it has, is told to resynchronise, and subscribes again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    num::NonZeroU32,
};

use callarbiter_core::{Object, Peer, Uid};
use callarbiter_dbus::Error;

use super::{admission, fault};

#[derive(Default)]
struct Subscriber {
    everything: bool,
    objects: BTreeSet<Object>,
    /// Bytes since the open question, or since the last answer.
    unread: usize,
    asked: bool,
    suspended: bool,
}

impl Subscriber {
    fn size(&self) -> usize {
        self.objects.len() + usize::from(self.everything)
    }
}

/// What a signal that was sent means for its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It keeps up.
    Well,
    /// Ask it whether it has read everything.
    Ask,
}

/// All subscriptions.
#[derive(Default)]
pub struct Subscribers {
    of: BTreeMap<(Uid, Peer), Subscriber>,
    questions: HashMap<NonZeroU32, (Uid, Peer)>,
    signals: VecDeque<(NonZeroU32, Uid, Peer)>,
}

impl Subscribers {
    /// Subscribes to a whole domain. Whoever was suspended begins anew.
    pub fn subscribe(&mut self, uid: Uid, peer: Peer) -> Result<(), Error> {
        self.admit(uid, peer, None)?;
        let subscriber = self.of.entry((uid, peer)).or_default();
        subscriber.everything = true;
        if std::mem::take(&mut subscriber.suspended) {
            subscriber.unread = 0;
        }
        Ok(())
    }

    /// Subscribes to one object.
    pub fn watch(&mut self, uid: Uid, peer: Peer, object: Object) -> Result<(), Error> {
        self.admit(uid, peer, Some(object))?;
        let subscriber = self.of.entry((uid, peer)).or_default();
        subscriber.objects.insert(object);
        if std::mem::take(&mut subscriber.suspended) {
            subscriber.unread = 0;
        }
        Ok(())
    }

    /// Ends all subscriptions of a connection.
    pub fn unsubscribe(&mut self, uid: Uid, peer: Peer) {
        if let Some(subscriber) = self.of.get_mut(&(uid, peer)) {
            subscriber.everything = false;
            subscriber.objects.clear();
        }
    }

    /// A connection left.
    pub fn left(&mut self, uid: Uid, peer: Peer) {
        self.of.remove(&(uid, peer));
        self.questions.retain(|_, who| *who != (uid, peer));
    }

    /// An object is gone: nobody watches it any more.
    pub fn forget(&mut self, uid: Uid, object: Object) {
        for (_, subscriber) in self.range_mut(uid) {
            subscriber.objects.remove(&object);
        }
    }

    /// Who is told of a change of this object.
    pub fn of(&self, uid: Uid, object: Object) -> impl Iterator<Item = Peer> {
        self.of
            .range((uid, Peer(0))..=(uid, Peer(u64::MAX)))
            .filter(move |(_, subscriber)| {
                !subscriber.suspended
                    && (subscriber.everything || subscriber.objects.contains(&object))
            })
            .map(|((_, peer), _)| *peer)
    }

    /// A signal of this size goes to a subscriber.
    pub fn sent(&mut self, uid: Uid, peer: Peer, serial: NonZeroU32, bytes: usize) -> Standing {
        if self.signals.len() >= admission::REMEMBERED_SIGNALS {
            self.signals.pop_front();
        }
        self.signals.push_back((serial, uid, peer));
        let Some(subscriber) = self.of.get_mut(&(uid, peer)) else { return Standing::Well };
        subscriber.unread += bytes;
        if subscriber.unread <= admission::UNREAD_BYTES {
            return Standing::Well;
        }
        if subscriber.asked {
            subscriber.suspended = true;
            return Standing::Well;
        }
        let of_user = self.questions.values().filter(|(of, _)| *of == uid).count();
        let room =
            self.questions.len() < admission::BARRIERS && of_user < admission::BARRIERS_PER_USER;
        if room { Standing::Ask } else { Standing::Well }
    }

    /// The question was sent; what is sent from here on is not covered by its answer.
    pub fn asked(&mut self, uid: Uid, peer: Peer, serial: NonZeroU32) {
        if let Some(subscriber) = self.of.get_mut(&(uid, peer)) {
            subscriber.asked = true;
            subscriber.unread = 0;
            self.questions.insert(serial, (uid, peer));
        }
    }

    /// Whose question this serial is.
    pub fn question(&self, serial: NonZeroU32) -> Option<(Uid, Peer)> {
        self.questions.get(&serial).copied()
    }

    /// A subscriber has read everything up to the question. True if it missed something: it is told
    /// to resynchronise and has no subscription until then.
    pub fn answered(&mut self, serial: NonZeroU32) -> bool {
        let Some(who) = self.questions.remove(&serial) else { return false };
        let Some(subscriber) = self.of.get_mut(&who) else { return false };
        subscriber.asked = false;
        if !subscriber.suspended {
            return false;
        }
        *subscriber = Subscriber { suspended: true, ..Subscriber::default() };
        true
    }

    /// The question itself did not arrive: something was missed, and it has to be asked again.
    pub fn question_lost(&mut self, serial: NonZeroU32) {
        if let Some(subscriber) =
            self.questions.remove(&serial).and_then(|who| self.of.get_mut(&who))
        {
            subscriber.asked = false;
            subscriber.suspended = true;
        }
    }

    /// The bus could not deliver a signal: its receiver is suspended, and has to be asked when it has
    /// read the rest. The receiver, unless it is being asked already.
    pub fn undelivered(&mut self, serial: NonZeroU32) -> Option<(Uid, Peer)> {
        let at = self.signals.iter().position(|(sent, ..)| *sent == serial)?;
        let (_, uid, peer) = self.signals.remove(at)?;
        let subscriber = self.of.get_mut(&(uid, peer))?;
        let known = std::mem::replace(&mut subscriber.suspended, true) || subscriber.asked;
        (!known).then_some((uid, peer))
    }

    /// How many subscriptions a domain has.
    pub fn count(&self, uid: Uid) -> usize {
        let range = (uid, Peer(0))..=(uid, Peer(u64::MAX));
        self.of.range(range).map(|(_, subscriber)| subscriber.size()).sum()
    }

    fn admit(&self, uid: Uid, peer: Peer, object: Option<Object>) -> Result<(), Error> {
        let has = self.of.get(&(uid, peer)).is_some_and(|subscriber| match object {
            None => subscriber.everything,
            Some(object) => subscriber.objects.contains(&object),
        });
        if has || self.count(uid) < admission::SUBSCRIPTIONS_PER_USER {
            return Ok(());
        }
        Err(fault::limit(format!(
            "this user has {} subscriptions already; one `Subscribe` covers every object",
            admission::SUBSCRIPTIONS_PER_USER
        )))
    }

    fn range_mut(&mut self, uid: Uid) -> impl Iterator<Item = (&(Uid, Peer), &mut Subscriber)> {
        self.of.range_mut((uid, Peer(0))..=(uid, Peer(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use callarbiter_core::CallId;

    use super::*;

    const ME: (Uid, Peer) = (Uid(1000), Peer(3));
    const CALL: Object = Object::Call(CallId(1));

    fn serial(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn told(subscribers: &Subscribers, object: Object) -> Vec<Peer> {
        subscribers.of(ME.0, object).collect()
    }

    #[test]
    fn a_domain_or_one_object_and_nobody_elses() {
        let mut subscribers = Subscribers::default();
        subscribers.watch(ME.0, ME.1, CALL).unwrap();
        subscribers.subscribe(Uid(1001), Peer(4)).unwrap();
        assert_eq!(told(&subscribers, CALL), [ME.1]);
        assert!(told(&subscribers, Object::Audio).is_empty());
        subscribers.subscribe(ME.0, ME.1).unwrap();
        assert_eq!(told(&subscribers, Object::Audio), [ME.1]);
        subscribers.unsubscribe(ME.0, ME.1);
        assert!(told(&subscribers, CALL).is_empty());
    }

    #[test]
    fn one_who_does_not_read_is_suspended_until_it_subscribes_again() {
        let mut subscribers = Subscribers::default();
        subscribers.subscribe(ME.0, ME.1).unwrap();
        let half = admission::UNREAD_BYTES / 2 + 1;
        assert_eq!(subscribers.sent(ME.0, ME.1, serial(1), half), Standing::Well);
        assert_eq!(subscribers.sent(ME.0, ME.1, serial(2), half), Standing::Ask);
        subscribers.asked(ME.0, ME.1, serial(3));
        subscribers.sent(ME.0, ME.1, serial(4), half);
        assert_eq!(told(&subscribers, CALL), [ME.1]);
        subscribers.sent(ME.0, ME.1, serial(5), half);
        assert!(told(&subscribers, CALL).is_empty());
        assert!(subscribers.answered(serial(3)), "it is told to resynchronise");
        assert!(told(&subscribers, CALL).is_empty());
        subscribers.subscribe(ME.0, ME.1).unwrap();
        assert_eq!(told(&subscribers, CALL), [ME.1]);
    }

    #[test]
    fn one_who_reads_is_never_suspended() {
        let mut subscribers = Subscribers::default();
        subscribers.subscribe(ME.0, ME.1).unwrap();
        for round in 0..100 {
            let n = round * 2 + 1;
            if subscribers.sent(ME.0, ME.1, serial(n), admission::UNREAD_BYTES) == Standing::Ask {
                subscribers.asked(ME.0, ME.1, serial(n + 1));
                assert!(!subscribers.answered(serial(n + 1)));
            }
        }
        assert_eq!(told(&subscribers, CALL), [ME.1]);
    }

    #[test]
    fn a_signal_that_the_bus_dropped_suspends_its_receiver() {
        let mut subscribers = Subscribers::default();
        subscribers.subscribe(ME.0, ME.1).unwrap();
        subscribers.sent(ME.0, ME.1, serial(1), 10);
        assert_eq!(subscribers.undelivered(serial(9)), None);
        assert_eq!(subscribers.undelivered(serial(1)), Some(ME));
        assert!(told(&subscribers, CALL).is_empty());
    }

    #[test]
    fn bounded_per_user() {
        let mut subscribers = Subscribers::default();
        for n in 0..admission::SUBSCRIPTIONS_PER_USER as u32 {
            subscribers.watch(ME.0, ME.1, Object::Call(CallId(n))).unwrap();
        }
        assert!(subscribers.watch(ME.0, ME.1, Object::Audio).is_err());
        assert!(subscribers.watch(ME.0, ME.1, CALL).is_ok(), "it has this one");
        assert!(subscribers.subscribe(Uid(1001), Peer(4)).is_ok());
        subscribers.left(ME.0, ME.1);
        assert!(subscribers.watch(ME.0, ME.1, Object::Audio).is_ok());
    }

    #[test]
    fn a_question_that_the_bus_dropped_is_asked_again() {
        let mut subscribers = Subscribers::default();
        subscribers.subscribe(ME.0, ME.1).unwrap();
        subscribers.asked(ME.0, ME.1, serial(1));
        subscribers.question_lost(serial(1));
        assert_eq!(subscribers.question(serial(1)), None);
        assert!(told(&subscribers, CALL).is_empty());
        subscribers.asked(ME.0, ME.1, serial(2));
        assert!(subscribers.answered(serial(2)), "something was lost with it");
    }
}
