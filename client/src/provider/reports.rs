//! Reports, and how they reach an arbiter that comes and goes.
//!
//! Owns that each is told once it can be, in order, and to an arbiter that knows this provider. What it
//! must not do is decide whether a call lives: that is the app's word, kept in the ledger.

use std::time::Duration;

use callarbiter_dbus::{
    Action, ErrorKind, ReconciledCalls, StateDetails, Verb,
    names::{CallPath, Object},
    words::{CallState, Direction, EndReason},
};
use uuid::Uuid;

use super::{
    Delegate, Ledger, LiveCall, Provider,
    registration::{ATTACHES_WITHIN, Attachment, Registration},
    unsent::Fact,
};
use crate::{Error, Result, call::id_of, presence::Loss};

/// The arbiter takes so many reports a second, and asks for a pause of this.
const AFTER_LIMIT: Duration = Duration::from_secs(1);
const PAUSES: u32 = 4;

/// A call that an arbiter did not take over.
pub(super) type NotTaken = (Uuid, Error);

impl Provider {
    /// The answer to something that may be asked twice; none where it is to be asked again, since the
    /// arbiter left.
    pub(super) async fn heard<T>(
        &self,
        by: &Attachment,
        answer: zbus::Result<T>,
    ) -> Result<Option<T>> {
        let answer = Loss::or_error(answer)?;
        if answer.is_none() {
            let lost = tokio::time::timeout(ATTACHES_WITHIN, self.detached_from(by)).await;
            lost.map_err(|_| Error::ArbiterGone)?;
        }
        Ok(answer)
    }

    pub(super) async fn attachment_in_time(&self) -> Result<Attachment> {
        let attached = tokio::time::timeout(ATTACHES_WITHIN, self.attachment()).await;
        attached.map_err(|_| Error::ArbiterGone)?
    }

    /// Reports a call. A call that comes in is nobody's if it cannot be told; one that is there already
    /// is a fact.
    pub(super) async fn report(&self, call: Uuid, live: LiveCall) -> Result<CallPath> {
        let comes_in = live.direction == Direction::Incoming && live.state == CallState::Ringing;
        // First, since the arbiter may ask something about it before its answer is read here.
        let new = self.ledger().reported(call, live.clone());
        let reported = self.report_until_heard(call, &live).await;
        match &reported {
            Ok(_) => self.ledger().told(call),
            Err(Error::ArbiterGone) if !comes_in => {}
            Err(_) if new => self.ledger().ended(call),
            Err(_) => {}
        }
        reported
    }

    async fn report_until_heard(&self, call: Uuid, live: &LiveCall) -> Result<CallPath> {
        loop {
            let attachment = self.attachment_in_time().await?;
            let telling = self.inner.telling.read().await;
            // It may have moved on while the arbiter was away.
            let now = self.ledger().call(call).unwrap_or(live).clone();
            let answer = send_call(&attachment, call, &now).await;
            drop(telling);
            if let Some(path) = self.heard(&attachment, answer).await? {
                return match Object::parse(path.as_str()) {
                    Some(Object::Call(path)) => Ok(path),
                    _ => Err(Error::Unreadable("a report was answered by what is no call".into())),
                };
            }
        }
    }

    pub(super) async fn tell_state(&self, call: Uuid, state: CallState) -> Result<()> {
        if !is_reported(&state) {
            let why = format!("`{state}` is no state that an app reports of a call");
            return Err(callarbiter_dbus::Error::invalid_argument(why).into());
        }
        let _telling = self.inner.telling.read().await;
        self.ledger().is_in(call, state.clone());
        self.tell_now(call, Fact::State, Some(&state)).await
    }

    /// Tells a fact, or keeps it for an arbiter that is away.
    pub(super) async fn tell(
        &self,
        call: Uuid,
        fact: Fact,
        note: impl FnOnce(&mut Ledger),
    ) -> Result<()> {
        let _telling = self.inner.telling.read().await;
        note(&mut self.ledger());
        self.tell_now(call, fact, None).await
    }

    async fn tell_now(&self, call: Uuid, fact: Fact, state: Option<&CallState>) -> Result<()> {
        let told = match self.attached_now()? {
            Some(attachment) => {
                Loss::or_error(send_fact(&attachment, call, &fact, state).await)?.is_some()
            }
            None => false,
        };
        if !told {
            self.ledger().unsent.push(call, fact);
        }
        Ok(())
    }

    /// Tells an arbiter that is about to know this provider what it has not heard. The calls that it
    /// did not take are returned; none where it left before it heard everything.
    pub(super) async fn tell_all(&self, attachment: &Attachment) -> Result<Vec<NotTaken>> {
        let not_taken = self.tell_unknown(attachment).await?;
        loop {
            let first = self.ledger().unsent.first().cloned();
            let Some((call, fact)) = first else { return Ok(not_taken) };
            let state = self.ledger().call(call).map(|live| live.state.clone());
            let is_idle = fact == Fact::State && state.is_none();
            let words = Words::Fact(&fact, state.as_ref());
            if !is_idle && let Err(error) = patiently(attachment, call, words).await? {
                tracing::debug!(%call, kind = ?error.kind(), "a late report was refused");
            }
            self.ledger().unsent.done();
        }
    }

    /// Tells of the calls that the arbiter does not have.
    pub(super) async fn tell_unknown(&self, attachment: &Attachment) -> Result<Vec<NotTaken>> {
        let mut not_taken = Vec::new();
        let unknown = self.ledger().unknown();
        for call in unknown {
            let Some(live) = self.ledger().call(call).cloned() else { continue };
            match patiently(attachment, call, Words::Call(&live)).await? {
                Ok(()) => {
                    self.ledger().told(call);
                    if live.remote_held {
                        let _ = send_fact(attachment, call, &Fact::RemoteHeld(true), None).await;
                    }
                }
                // It has it, and is further than these words.
                Err(error) if error.kind() == Some(ErrorKind::InvalidState) => {
                    self.ledger().told(call);
                }
                Err(error) => {
                    tracing::warn!(%call, kind = ?error.kind(), "the call arbiter does not take a call");
                    self.ledger().ended(call);
                    not_taken.push((call, error));
                }
            }
        }
        Ok(not_taken)
    }

    /// Answers the question which calls are still there.
    pub(super) async fn reconcile<D: Delegate>(
        &self,
        delegate: &D,
        request: &str,
        theirs: Vec<(Uuid, CallState)>,
    ) {
        let Ok(attachment) = self.attachment().await else { return };
        let asked = self.ledger().live();
        let answer = delegate.reconcile(asked.clone(), theirs.clone()).await;
        // Nothing that is reported now may overtake what is said here, or be overtaken by it.
        let telling = self.inner.telling.write().await;
        let claims = self.ledger().reconciled(&asked, answer);
        let results = ReconciledCalls(claims).to_results();
        let told = async {
            attachment.provider().await?.fulfil(request, &results).await?;
            Ok::<(), zbus::Error>(())
        };
        if let Err(error) = told.await {
            // One that left asks again.
            let error = Error::from(error);
            tracing::debug!(kind = ?error.kind(), "what is still there could not be said");
            return;
        }
        let theirs: Vec<Uuid> = theirs.into_iter().map(|(call, _)| call).collect();
        self.ledger().doubt_all_but(&theirs);
        let not_taken = self.tell_unknown(&attachment).await.unwrap_or_default();
        drop(telling);
        for (call, error) in not_taken {
            delegate.not_taken(call, error).await;
        }
    }

    /// Reports what came of a request that the arbiter knows nothing of: it lost its state after it had
    /// asked.
    pub(super) async fn report_outcome(&self, actions: &[Action]) {
        for action in actions {
            let Some(call) = action.verb.call().map(|call| id_of(&call)) else { continue };
            let live = self.ledger().call(call).cloned();
            let told = match (live, &action.verb) {
                (Some(live), _) if !live.known => self.report(call, live).await.map(drop),
                (Some(live), _) if !is_reported(&live.state) => Ok(()),
                (Some(live), _) => self.tell_state(call, live.state).await,
                (None, Verb::End { reason, .. }) => {
                    let reason = reason.clone().unwrap_or(EndReason::LocalEnded);
                    self.report_ended(call, reason).await
                }
                (None, _) => self.report_ended(call, EndReason::Failed).await,
            };
            if let Err(error) = told {
                tracing::debug!(%call, kind = ?error.kind(), "what was performed is not taken");
            }
        }
    }

    /// The arbiter that knows this provider now, if one does.
    fn attached_now(&self) -> Result<Option<Attachment>> {
        match &*self.inner.registration.borrow() {
            Registration::Detached => Ok(None),
            Registration::Over(why) => Err(Error::Unregistered(why.to_string())),
            Registration::Attached(attachment) => Ok(Some(attachment.clone())),
        }
    }
}

/// Whether an app says of a call that it is in this state now.
fn is_reported(state: &CallState) -> bool {
    use CallState::{Active, Alerting, Connecting, Held};
    matches!(state, Alerting | Connecting | Active | Held)
}

/// What is told of a call.
#[derive(Clone, Copy)]
enum Words<'a> {
    Call(&'a LiveCall),
    Fact(&'a Fact, Option<&'a CallState>),
}

/// Tells it until it is heard or refused; fails where the arbiter left before.
async fn patiently(attachment: &Attachment, call: Uuid, words: Words<'_>) -> Result<Result<()>> {
    let mut pauses = 0..PAUSES;
    loop {
        let answer = match words {
            Words::Call(live) => send_call(attachment, call, live).await.map(drop),
            Words::Fact(fact, state) => send_fact(attachment, call, fact, state).await,
        };
        match Loss::or_error(answer) {
            Ok(Some(())) => return Ok(Ok(())),
            Ok(None) => return Err(Error::ArbiterGone),
            Err(error)
                if error.kind() == Some(ErrorKind::LimitExceeded) && pauses.next().is_some() =>
            {
                tokio::time::sleep(AFTER_LIMIT).await;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}

async fn send_call(
    attachment: &Attachment,
    call: Uuid,
    live: &LiveCall,
) -> zbus::Result<zbus::OwnedObjectPath> {
    let arbiter = attachment.provider().await?;
    let (uuid, update) = (call.to_string(), live.update.to_dict());
    match (&live.direction, &live.state) {
        (Direction::Incoming, CallState::Ringing) => {
            arbiter.report_incoming_call(&uuid, &update).await
        }
        (direction, state) => {
            arbiter.report_call(&uuid, direction.as_str(), state.as_str(), &update).await
        }
    }
}

async fn send_fact(
    attachment: &Attachment,
    call: Uuid,
    fact: &Fact,
    state: Option<&CallState>,
) -> zbus::Result<()> {
    let arbiter = attachment.provider().await?;
    let uuid = call.to_string();
    match fact {
        Fact::State => {
            let state = state.map_or("", CallState::as_str);
            arbiter.report_state(&uuid, state, &StateDetails::default().to_dict()).await
        }
        Fact::RemoteHeld(held) => {
            let details = StateDetails { remote_held: Some(*held) };
            arbiter.report_state(&uuid, "", &details.to_dict()).await
        }
        Fact::Update(update) => arbiter.update_call(&uuid, &update.to_dict()).await,
        Fact::Ended(reason, details) => {
            arbiter.report_ended(&uuid, reason.as_str(), &details.to_dict()).await
        }
    }
}
