//! Replies that wait for an outcome: at most 20 s, then they say that it is not decided yet.
//!
//! Owns the waiting requests. What the outcome is, the transaction or the core says.

use callarbiter_core::{
    CallId, Caller, Millis, Now, Outcome, Peer, Refusal, RequestId, Time, Transaction,
    TransactionId, Uid,
};
use callarbiter_dbus::{Error, ErrorKind, limits::REPLY_WITHIN_MS};
use callarbiter_wire::Outgoing;
use zbus::ObjectPath;

use super::{admission, fault, numbers::ByNumber, request::Request};

/// What a waiting request gets.
#[derive(Clone, Debug)]
pub enum Awaited {
    /// This path, whatever the outcomes are: `RequestTransaction`.
    Transaction(ObjectPath<'static>),
    /// This path if the call was placed or still is being, or came in: `StartCall`, `ReportIncomingCall`.
    Call(ObjectPath<'static>),
    /// Nothing if it was done: the verbs of a call.
    Done,
}

/// Whose end it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// That of a transaction.
    Transaction(TransactionId),
    /// That of something an agent was asked.
    Agent(RequestId),
    /// That of what screeners think of a call.
    Screeners(CallId),
}

struct Wait {
    request: Request,
    on: On,
    until: Time,
    awaited: Awaited,
}

/// All requests that wait.
#[derive(Default)]
pub struct Waits {
    waiting: Vec<Wait>,
    of_user: ByNumber<Uid, Share>,
}

#[derive(Clone, Copy, Default)]
struct Share {
    requests: usize,
    bytes: usize,
}

impl Waits {
    /// Whether this one may wait, too; asked before anything is done.
    pub fn admit(&self, request: &Request) -> Result<(), Error> {
        let share = self.of_user.get(&request.client.caller.uid).copied().unwrap_or_default();
        if share.bytes + request.message.length() > admission::WAITING_BYTES_PER_USER {
            return Err(fault::limit(format!(
                "calls of this user that wait for their outcome have {} bytes; send shorter ones",
                share.bytes
            )));
        }
        if share.requests < admission::WAITS_PER_USER {
            return Ok(());
        }
        Err(fault::limit(format!(
            "{} calls of this user wait for their outcome already; ask again when one has its reply, \
             or request a transaction without `wait` and watch it",
            admission::WAITS_PER_USER
        )))
    }

    /// Waits from now on.
    pub fn add(&mut self, now: Now, request: Request, on: On, awaited: Awaited) {
        let share = self.of_user.entry(request.client.caller.uid).or_default();
        share.requests += 1;
        share.bytes += request.message.length();
        let until = now.mono + Millis(REPLY_WITHIN_MS);
        self.waiting.push(Wait { request, on, until, awaited });
    }

    /// A transaction is finished; the replies of those who waited for it.
    pub fn finished(
        &mut self,
        uid: Uid,
        id: TransactionId,
        transaction: Option<&Transaction>,
    ) -> Vec<(Caller, Outgoing)> {
        let reply = |wait: &Wait| reply(&wait.request, &wait.awaited, transaction);
        replies(&self.over(uid, On::Transaction(id)), reply)
    }

    /// An agent did what it was asked, or did not; the replies of those who waited for it.
    pub fn agent_answered(
        &mut self,
        uid: Uid,
        id: RequestId,
        outcome: &Result<(), Refusal>,
    ) -> Vec<(Caller, Outgoing)> {
        self.decided(uid, On::Agent(id), outcome)
    }

    /// Screeners have looked at a call, or it is over; the replies of those who reported it.
    pub fn screened(
        &mut self,
        uid: Uid,
        id: CallId,
        outcome: &Result<(), Refusal>,
    ) -> Vec<(Caller, Outgoing)> {
        self.decided(uid, On::Screeners(id), outcome)
    }

    fn decided(
        &mut self,
        uid: Uid,
        on: On,
        outcome: &Result<(), Refusal>,
    ) -> Vec<(Caller, Outgoing)> {
        let reply = |wait: &Wait| match (outcome, &wait.awaited) {
            (Ok(()), Awaited::Transaction(path) | Awaited::Call(path)) => wait.request.path(path),
            (Ok(()), Awaited::Done) => wait.request.done(),
            (Err(refusal), _) => wait.request.error(&fault::refused(refusal)),
        };
        replies(&self.over(uid, on), reply)
    }

    fn over(&mut self, uid: Uid, on: On) -> Vec<Wait> {
        self.take(|wait| wait.on == on && wait.request.client.caller.uid == uid)
    }

    /// Whoever has waited long enough.
    pub fn expired(&mut self, now: Time) -> Vec<(Caller, Outgoing)> {
        let late = |wait: &Wait| {
            match &wait.awaited {
            Awaited::Transaction(path) | Awaited::Call(path) => wait.request.path(path),
            Awaited::Done => wait.request.error(&Error::new(
                ErrorKind::TimedOut,
                format!(
                    "nothing is decided after {} s; the transaction goes on, and the call's state will \
                     say how it ends",
                    REPLY_WITHIN_MS / 1000
                ),
            )),
        }
        };
        replies(&self.take(|wait| wait.until <= now), late)
    }

    /// A connection left: nobody waits there any more.
    pub fn left(&mut self, peer: Peer) {
        self.take(|wait| wait.request.client.caller.peer == peer);
    }

    /// When the first has waited long enough.
    pub fn next_deadline(&self) -> Option<Time> {
        self.waiting.iter().map(|wait| wait.until).min()
    }

    fn take(&mut self, which: impl Fn(&Wait) -> bool) -> Vec<Wait> {
        if !self.waiting.iter().any(&which) {
            return Vec::new();
        }
        let (taken, rest) = std::mem::take(&mut self.waiting).into_iter().partition(which);
        self.waiting = rest;
        for wait in &taken {
            let wait: &Wait = wait;
            let uid = wait.request.client.caller.uid;
            if let Some(share) = self.of_user.get_mut(&uid) {
                share.requests -= 1;
                share.bytes -= wait.request.message.length();
                if share.requests == 0 {
                    self.of_user.remove(&uid);
                }
            }
        }
        taken
    }
}

fn replies(waits: &[Wait], reply: impl Fn(&Wait) -> Option<Outgoing>) -> Vec<(Caller, Outgoing)> {
    let to = |wait: &Wait| Some((wait.request.client.caller, reply(wait)?));
    waits.iter().filter_map(to).collect()
}

/// The reply to a request whose transaction is finished; `None` is one that is no longer remembered.
pub fn reply(
    request: &Request,
    awaited: &Awaited,
    transaction: Option<&Transaction>,
) -> Option<Outgoing> {
    let refusal = transaction
        .into_iter()
        .flat_map(|transaction| &transaction.actions)
        .filter_map(|step| step.outcome.as_ref())
        .find_map(Outcome::refusal);
    match (awaited, refusal) {
        (Awaited::Transaction(path), _) | (Awaited::Call(path), None) => request.path(path),
        (Awaited::Done, None) => request.done(),
        (Awaited::Call(_) | Awaited::Done, Some(refusal)) => {
            request.error(&fault::refused(refusal))
        }
    }
}
