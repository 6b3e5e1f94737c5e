//! Control: transactions, plans, and a verb for each thing that is done with a call.
//!
//! Owns nothing but the words; how a transaction is followed to its end is [`crate::pursuit`].

use callarbiter_dbus::{
    Action, ActionResult, CallRef, Cause, Dict, Endpoint, Entries, ErrorKind, PlanStep,
    StartOptions, TransactionOptions, Verb,
    names::{CallPath, Object},
    words::{CallState, Outcome},
};
use uuid::Uuid;

use crate::{Connection, Error, Result, TransactionHandle, connection::Repeat};

/// Controls the calls of this user.
///
/// Every request carries a token, so that it is safe to send it again when the arbiter restarts in
/// between. That happens by itself: a request waits up to 15 s for an arbiter that was there, is done
/// once, and gives the one result. [`Error::ArbiterGone`] says that there is none, that it did not come
/// back in time, or that it lost its state while it was asked, and nobody can tell what was done.
#[derive(Clone, Debug)]
pub struct Controller {
    connection: Connection,
}

impl Controller {
    /// A controller on this connection.
    pub fn new(connection: &Connection) -> Self {
        Controller { connection: connection.clone() }
    }

    /// Asks for several actions as a whole: they are accepted or refused together, and performed in
    /// order, with what is implied (holding the call in the way, for example).
    ///
    /// Accepted is not done: that is [`TransactionHandle::finished`].
    pub async fn transaction(
        &self,
        actions: impl IntoIterator<Item = Action>,
        options: TransactionOptions,
    ) -> Result<TransactionHandle> {
        let actions: Entries = actions.into_iter().map(|action| action.to_wire()).collect();
        TransactionHandle::request(&self.connection, actions, options).await
    }

    /// What a transaction would do now, implied steps included; nothing is done.
    pub async fn plan(&self, actions: impl IntoIterator<Item = Action>) -> Result<Vec<PlanStep>> {
        let actions: Entries = actions.into_iter().map(|action| action.to_wire()).collect();
        let mut attempts = self.connection.attempts(Repeat::Freely);
        loop {
            let manager = attempts.next().await?.owner.manager().await?;
            let steps = manager.plan_transaction(&actions, &Dict::new()).await;
            if let Some(steps) = attempts.answered(steps).await? {
                return Ok(PlanStep::list(&steps));
            }
        }
    }

    /// Why a call is what it is, the oldest cause first: a live one, or one that ended within the hour.
    ///
    /// The name is its UUID, the first four or more characters of it, or its object path; empty for the call
    /// that began last.
    pub async fn explain(&self, call: &str) -> Result<Vec<Cause>> {
        let mut attempts = self.connection.attempts(Repeat::Freely);
        loop {
            let manager = attempts.next().await?.owner.manager().await?;
            let causes = manager.explain(call, &Dict::new()).await;
            if let Some(causes) = attempts.answered(causes).await? {
                return Ok(causes.into_iter().map(Cause::from_dict).collect());
            }
        }
    }

    /// Places a call. Returns its object as soon as the arbiter accepted it, or, with `wait`, when
    /// its provider placed it.
    pub async fn start_call(&self, handle: &str, options: StartOptions) -> Result<CallPath> {
        let token = options.token.unwrap_or_else(Uuid::new_v4);
        let options = StartOptions { token: Some(token), ..options }.to_dict();
        let mut attempts = self.connection.attempts(Repeat::Knowing(None));
        loop {
            let manager = attempts.next().await?.owner.manager().await?;
            let path = manager.start_call(handle, &options).await;
            if let Some(path) = attempts.answered(path).await? {
                return match Object::parse(path.as_str()) {
                    Some(Object::Call(call)) => Ok(call),
                    _ => Err(Error::Unreadable("StartCall returned what is no call".into())),
                };
            }
        }
    }

    /// Where calls can be heard, and the id of the endpoint where they are; empty where that is not known.
    pub async fn endpoints(&self) -> Result<(Vec<Endpoint>, String)> {
        let mut attempts = self.connection.attempts(Repeat::Freely);
        loop {
            let audio = attempts.next().await?.owner.audio_session().await?;
            let known = async { Ok((audio.endpoints().await?, audio.endpoint().await?)) };
            if let Some((listed, current)) = attempts.answered(known.await).await? {
                let endpoints = listed.iter().map(Endpoint::from_dict).collect::<Result<_, _>>();
                let endpoints = endpoints.map_err(|error| Error::Unreadable(error.to_string()))?;
                return Ok((endpoints, current));
            }
        }
    }

    /// Lets calls be heard at this endpoint; done when they are.
    pub async fn select_endpoint(&self, id: &str) -> Result<()> {
        let mut attempts = self.connection.attempts(Repeat::Freely);
        loop {
            let audio = attempts.next().await?.owner.audio_session().await?;
            if let Some(()) = attempts.answered(audio.select_endpoint(id).await).await? {
                return Ok(());
            }
        }
    }

    /// Answers a ringing call; done when its provider said so.
    pub async fn answer(&self, call: impl Into<CallRef>) -> Result<()> {
        self.perform(Verb::Answer { call: call.into() }).await
    }

    /// Hangs up, declines or cancels, whatever the call's state.
    pub async fn end(&self, call: impl Into<CallRef>) -> Result<()> {
        self.perform(Verb::End { call: call.into(), reason: None, message: None }).await
    }

    /// Declines a call if it still rings: one that was answered meanwhile is left alone
    /// ([`ErrorKind::StaleState`]).
    pub async fn decline(&self, call: impl Into<CallRef>) -> Result<()> {
        let end = Verb::End { call: call.into(), reason: None, message: None };
        self.perform(Action::from(end).expecting(CallState::Ringing)).await
    }

    /// Holds a call, for the user: only the user resumes it.
    pub async fn hold(&self, call: impl Into<CallRef>) -> Result<()> {
        self.perform(Verb::SetHeld { call: call.into(), held: true }).await
    }

    /// Resumes a call.
    pub async fn unhold(&self, call: impl Into<CallRef>) -> Result<()> {
        self.perform(Verb::SetHeld { call: call.into(), held: false }).await
    }

    /// Mutes or unmutes the microphone for a call.
    pub async fn set_muted(&self, call: impl Into<CallRef>, muted: bool) -> Result<()> {
        self.perform(Verb::SetMuted { call: call.into(), muted }).await
    }

    /// Plays tones: `0-9 * # A-D`, and pauses.
    pub async fn send_dtmf(&self, call: impl Into<CallRef>, digits: &str) -> Result<()> {
        self.perform(Verb::PlayDtmf { call: call.into(), digits: digits.to_owned() }).await
    }

    /// Turns video on or off.
    pub async fn set_video(&self, call: impl Into<CallRef>, video: bool) -> Result<()> {
        self.perform(Verb::SetVideo { call: call.into(), video }).await
    }

    /// Joins the group of another call of the same provider.
    pub async fn join(&self, call: impl Into<CallRef>, with: impl Into<CallRef>) -> Result<()> {
        self.perform(Verb::SetGroup { call: call.into(), with: Some(with.into()) }).await
    }

    /// Leaves the group.
    pub async fn leave(&self, call: impl Into<CallRef>) -> Result<()> {
        self.perform(Verb::SetGroup { call: call.into(), with: None }).await
    }

    /// Stops the ringing, not the call.
    pub async fn silence(&self, call: impl Into<CallRef>) -> Result<()> {
        self.perform(Verb::Silence { call: call.into() }).await
    }

    /// Does one thing and waits until it is done, over restarts of the arbiter: an action that was not
    /// fulfilled is its error.
    pub async fn perform(&self, action: impl Into<Action>) -> Result<()> {
        let transaction = self.transaction([action.into()], TransactionOptions::default()).await?;
        all_fulfilled(transaction.finished().await?)
    }
}

/// The first error of a finished transaction.
fn all_fulfilled(results: Vec<ActionResult>) -> Result<()> {
    match results.into_iter().find(|result| !result.is_fulfilled()) {
        None => Ok(()),
        Some(ActionResult { error: Some(error), .. }) => Err(Error::Refused(error)),
        Some(ActionResult { outcome, .. }) => {
            let kind = match outcome {
                Outcome::TimedOut => ErrorKind::TimedOut,
                Outcome::Cancelled => ErrorKind::Cancelled,
                _ => ErrorKind::ActionFailed,
            };
            Err(Error::Refused(callarbiter_dbus::Error::new(kind, kind.meaning().trim())))
        }
    }
}
