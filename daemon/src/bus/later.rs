//! Large views, which are put together when nobody waits for anything smaller.
//!
//! Owns what waits for that: a whole snapshot takes as long as a hundred answers, so whoever asks for many of them
//! holds up themselves and nobody else. What a connection sends behind such a question waits with it, so that each
//! connection is heard in its own order; users take turns. Which questions are large, is said here; what is answered,
//! is not.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use callarbiter_core::{Peer, Uid};

use super::{admission, numbers::ByNumber, peers::Client, request::Request};

/// Methods that show everything that a user has, or a whole interface file.
const LARGE: [&str; 3] = ["Subscribe", "GetManagedObjects", "Introspect"];

/// What becomes of a call.
#[derive(Debug)]
pub enum Order {
    /// It is heard at once.
    Now(Request),
    /// It waits until nobody else does.
    Later,
    /// It would wait, and too much of its user does already.
    Refused(Request),
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    large: bool,
}

impl Waiting {
    fn is_of(&self, peer: Peer) -> bool {
        self.request.client.caller.peer == peer
    }

    fn bytes(&self) -> usize {
        self.request.message.length()
    }
}

/// What waits of one user, in the order in which it came.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

/// Whatever waits.
#[derive(Debug, Default)]
pub struct Later {
    of_user: BTreeMap<Uid, Queue>,
    of_peer: ByNumber<Peer, usize>,
    /// Whose turn it was.
    last: Option<Uid>,
}

impl Later {
    /// Takes a call that has to wait.
    pub fn order(&mut self, request: Request) -> Order {
        let (uid, peer) = (request.client.caller.uid, request.client.caller.peer);
        let large = is_large(&request);
        if !large && !self.of_peer.contains_key(&peer) {
            return Order::Now(request);
        }
        let waiting = Waiting { request, large };
        let queue = self.of_user.entry(uid).or_default();
        let bytes = queue.bytes + waiting.bytes();
        if queue.waiting.len() >= admission::LATER_PER_USER
            || bytes > admission::LATER_BYTES_PER_USER
        {
            return Order::Refused(waiting.request);
        }
        queue.bytes = bytes;
        queue.waiting.push_back(waiting);
        *self.of_peer.entry(peer).or_default() += 1;
        Order::Later
    }

    /// The next one: of another user than the last, if somebody else waits.
    pub fn next(&mut self) -> Option<Request> {
        let next = |range: (_, _)| self.of_user.range(range).next().map(|(uid, _)| *uid);
        let after = self.last.and_then(|last| next((Excluded(last), Unbounded)));
        let uid = after.or_else(|| next((Unbounded, Unbounded)))?;
        self.last = Some(uid);
        self.take(uid)
    }

    /// What this user's large view held up, up to the next one.
    pub fn next_small(&mut self) -> Option<Request> {
        let uid = self.last?;
        let small = self.of_user.get(&uid)?.waiting.front().is_some_and(|next| !next.large);
        small.then(|| self.take(uid)).flatten()
    }

    /// Somebody waits.
    pub fn waits(&self) -> bool {
        !self.of_user.is_empty()
    }

    /// More is known of a connection than when it asked.
    pub fn learn(&mut self, client: &Arc<Client>) {
        let Some(queue) = self.of_user.get_mut(&client.caller.uid) else { return };
        for waiting in queue.waiting.iter_mut().filter(|next| next.is_of(client.caller.peer)) {
            waiting.request.client = client.clone();
        }
    }

    /// A connection left.
    pub fn left(&mut self, uid: Uid, peer: Peer) {
        if self.of_peer.remove(&peer).is_none() {
            return;
        }
        if let Some(queue) = self.of_user.get_mut(&uid) {
            queue.waiting.retain(|next| !next.is_of(peer));
            queue.bytes = queue.waiting.iter().map(Waiting::bytes).sum();
            if queue.waiting.is_empty() {
                self.of_user.remove(&uid);
            }
        }
    }

    fn take(&mut self, uid: Uid) -> Option<Request> {
        let queue = self.of_user.get_mut(&uid)?;
        let next = queue.waiting.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(next.bytes());
        if queue.waiting.is_empty() {
            self.of_user.remove(&uid);
        }
        let request = next.request;
        let peer = request.client.caller.peer;
        if let Some(count) = self.of_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.of_peer.remove(&peer);
            }
        }
        Some(request)
    }
}

fn is_large(request: &Request) -> bool {
    LARGE.contains(&request.message.member())
}
