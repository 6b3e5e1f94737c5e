//! Who is told what changes, and who is too slow to be told.
//!
//! Owns subscriptions and how far each subscriber is behind. A bus drops signals to a receiver that does
//! not read; so that nobody misses one unawares, a subscriber that is not known to have read what it got
//! (see [`super::debts`]) is told to resynchronise and gets no more until it subscribes again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    num::NonZeroU32,
    ops::Bound::{Excluded, Unbounded},
};

use callarbiter_core::{Object, Peer, Uid};
use callarbiter_dbus::Error;

use super::{admission, fault};

#[derive(Default)]
struct Subscriber {
    everything: bool,
    objects: BTreeSet<Object>,
    /// Bytes since it subscribed, or since it is known to have read.
    unread: usize,
    suspended: bool,
    /// `ResyncNeeded` on its way.
    told: Option<NonZeroU32>,
}

impl Subscriber {
    fn size(&self) -> usize {
        self.objects.len() + usize::from(self.everything)
    }

    /// It wants to be told of something, or that it missed something.
    fn counts(&self) -> bool {
        self.suspended || self.size() > 0
    }

    fn resume(&mut self) {
        if std::mem::take(&mut self.suspended) {
            self.unread = 0;
            self.told = None;
        }
    }

    fn suspend(&mut self) {
        *self = Subscriber { suspended: true, ..Subscriber::default() };
    }
}

/// What a signal that was sent means for its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It keeps up.
    Well,
    /// It gets no more, and has to be told so.
    Suspended,
}

/// All subscriptions.
#[derive(Default)]
pub struct Subscribers {
    of: BTreeMap<(Uid, Peer), Subscriber>,
    /// Who began or ceased to subscribe, for [`super::saved`].
    changed: Vec<(Uid, Peer)>,
    signals: VecDeque<(NonZeroU32, Uid, Peer)>,
}

impl Subscribers {
    /// Subscribes to a whole domain. Whoever was suspended begins anew.
    pub fn subscribe(&mut self, uid: Uid, peer: Peer) -> Result<(), Error> {
        self.admit(uid, peer, None)?;
        let subscriber = self.begin(uid, peer);
        subscriber.everything = true;
        subscriber.resume();
        Ok(())
    }

    /// Subscribes to one object.
    pub fn watch(&mut self, uid: Uid, peer: Peer, object: Object) -> Result<(), Error> {
        self.admit(uid, peer, Some(object))?;
        let subscriber = self.begin(uid, peer);
        subscriber.objects.insert(object);
        subscriber.resume();
        Ok(())
    }

    /// Ends all subscriptions of a connection.
    pub fn unsubscribe(&mut self, uid: Uid, peer: Peer) {
        if let Some(subscriber) = self.of.get_mut(&(uid, peer)) {
            *subscriber = Subscriber { unread: subscriber.unread, ..Subscriber::default() };
            self.changed.push((uid, peer));
        }
    }

    /// A connection left.
    pub fn left(&mut self, uid: Uid, peer: Peer) {
        if self.of.remove(&(uid, peer)).is_some() {
            self.changed.push((uid, peer));
        }
    }

    /// An object is gone: nobody watches it any more.
    pub fn forget(&mut self, uid: Uid, object: Object) {
        let range = (uid, Peer(0))..=(uid, Peer(u64::MAX));
        for (who, subscriber) in self.of.range_mut(range) {
            if subscriber.objects.remove(&object) && !subscriber.counts() {
                self.changed.push(*who);
            }
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
        self.remember(uid, peer, serial);
        let Some(subscriber) = self.of.get_mut(&(uid, peer)) else { return Standing::Well };
        subscriber.unread += bytes;
        if subscriber.unread <= admission::SUSPENDED_BYTES {
            return Standing::Well;
        }
        subscriber.suspend();
        Standing::Suspended
    }

    /// Nothing more can be sent to a subscriber.
    pub fn suspend(&mut self, uid: Uid, peer: Peer) {
        if let Some(subscriber) = self.of.get_mut(&(uid, peer)) {
            subscriber.suspend();
        }
    }

    /// A subscriber has read all but this much.
    pub fn read(&mut self, uid: Uid, peer: Peer, rest: usize) {
        if let Some(subscriber) = self.of.get_mut(&(uid, peer)) {
            subscriber.unread = subscriber.unread.min(rest);
        }
    }

    /// It is told that it missed something.
    pub fn told(&mut self, uid: Uid, peer: Peer, serial: NonZeroU32) {
        self.remember(uid, peer, serial);
        if let Some(subscriber) = self.of.get_mut(&(uid, peer)) {
            subscriber.told = Some(serial);
        }
    }

    /// Whether it missed something and has not subscribed since.
    pub fn is_suspended(&self, uid: Uid, peer: Peer) -> bool {
        self.of.get(&(uid, peer)).is_some_and(|subscriber| subscriber.suspended)
    }

    /// The bus could not deliver a signal. Whoever has to be told, when it has read the rest, that it
    /// missed something; none if it is told already.
    pub fn undelivered(&mut self, serial: NonZeroU32) -> Option<(Uid, Peer)> {
        let at = self.signals.iter().position(|(sent, ..)| *sent == serial)?;
        let (_, uid, peer) = self.signals.remove(at)?;
        let subscriber = self.of.get_mut(&(uid, peer)).filter(|subscriber| subscriber.counts())?;
        if subscriber.suspended && subscriber.told != Some(serial) {
            return None;
        }
        subscriber.suspend();
        Some((uid, peer))
    }

    fn remember(&mut self, uid: Uid, peer: Peer, serial: NonZeroU32) {
        if self.signals.len() >= admission::REMEMBERED_SIGNALS {
            self.signals.pop_front();
        }
        self.signals.push_back((serial, uid, peer));
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

    fn begin(&mut self, uid: Uid, peer: Peer) -> &mut Subscriber {
        let subscriber = self.of.entry((uid, peer)).or_default();
        if !subscriber.counts() {
            self.changed.push((uid, peer));
        }
        subscriber
    }

    /// Who began or ceased to subscribe since this was last emptied.
    pub fn changed(&mut self) -> &mut Vec<(Uid, Peer)> {
        &mut self.changed
    }

    /// Whether it subscribed to anything.
    pub fn subscribes(&self, uid: Uid, peer: Peer) -> bool {
        self.of.get(&(uid, peer)).is_some_and(Subscriber::counts)
    }

    /// The next who subscribed to anything.
    pub fn all_after(&self, after: Option<(Uid, Peer)>) -> impl Iterator<Item = (Uid, Peer)> {
        let range = self.of.range((after.map_or(Unbounded, Excluded), Unbounded));
        range.filter(|(_, subscriber)| subscriber.counts()).map(|(who, _)| *who)
    }

    /// It subscribed before the daemon was started again, and may have missed something.
    pub fn restore(&mut self, uid: Uid, peer: Peer) {
        self.of.entry((uid, peer)).or_default().suspend();
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
        let most = admission::SUSPENDED_BYTES;
        assert_eq!(subscribers.sent(ME.0, ME.1, serial(1), most), Standing::Well);
        assert_eq!(told(&subscribers, CALL), [ME.1]);
        assert_eq!(subscribers.sent(ME.0, ME.1, serial(2), 1), Standing::Suspended);
        assert!(told(&subscribers, CALL).is_empty());
        subscribers.read(ME.0, ME.1, 0);
        assert!(told(&subscribers, CALL).is_empty(), "it missed something");
        subscribers.subscribe(ME.0, ME.1).unwrap();
        assert_eq!(told(&subscribers, CALL), [ME.1]);
        assert_eq!(subscribers.sent(ME.0, ME.1, serial(3), most), Standing::Well);
    }

    #[test]
    fn one_who_reads_is_never_suspended() {
        let mut subscribers = Subscribers::default();
        subscribers.subscribe(ME.0, ME.1).unwrap();
        for n in 1..100 {
            let sent = subscribers.sent(ME.0, ME.1, serial(n), admission::SUSPENDED_BYTES);
            assert_eq!(sent, Standing::Well);
            subscribers.read(ME.0, ME.1, 0);
        }
        assert_eq!(told(&subscribers, CALL), [ME.1]);
    }

    #[test]
    fn a_signal_that_the_bus_dropped_suspends_its_receiver() {
        let mut subscribers = Subscribers::default();
        subscribers.subscribe(ME.0, ME.1).unwrap();
        subscribers.sent(ME.0, ME.1, serial(1), 10);
        assert_eq!(subscribers.undelivered(serial(9)), None);
        subscribers.sent(ME.0, ME.1, serial(2), 10);
        assert_eq!(subscribers.undelivered(serial(1)), Some(ME));
        assert!(told(&subscribers, CALL).is_empty());
        assert_eq!(subscribers.undelivered(serial(2)), None, "it will be told once");
        subscribers.told(ME.0, ME.1, serial(3));
        assert_eq!(subscribers.undelivered(serial(3)), Some(ME), "that was lost as well");
        subscribers.told(ME.0, ME.1, serial(4));
        subscribers.unsubscribe(ME.0, ME.1);
        assert_eq!(subscribers.undelivered(serial(4)), None, "it does not want to know");
        assert!(!subscribers.is_suspended(ME.0, ME.1) && !subscribers.subscribes(ME.0, ME.1));
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
}
