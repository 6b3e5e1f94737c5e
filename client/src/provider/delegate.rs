//! What an app implements to carry calls.
//!
//! Owns the trait and its defaults. When its methods are called, in what order, and how their results
//! reach the arbiter, is [`super::serve`].

use std::future::Future;

use callarbiter_dbus::{
    Action, ErrorKind, Verb,
    words::{Authorization, CallState},
};
use uuid::Uuid;

use super::Request;
use crate::{ActionError, Error, call::id_of};

/// What was performed: `Ok` becomes `Fulfil`, `Err` becomes `Fail`.
pub type Performed = Result<(), ActionError>;

/// An app that carries calls.
///
/// Each method is asked to do one thing and returns when it is done. Write them as `async fn`; the
/// futures must be [`Send`]. Methods for one call run one after the other, those for different calls
/// at the same time, with one exception: [`Delegate::perform_end`] runs at once, and
/// [`Request::cancelled`] tells what still runs for that call.
///
/// Every request has a deadline ([`Request::deadline`]); a method that takes longer gets more time from
/// the arbiter by itself, up to four times as much.
pub trait Delegate: Send + Sync + 'static {
    /// Place a call. `Ok` when the network has taken it (the call is then `dialing`); what follows is
    /// reported with [`super::Provider::report_state`].
    fn perform_start(
        &self,
        request: &Request,
        call: Uuid,
        handle: &str,
    ) -> impl Future<Output = Performed> + Send {
        let _ = (request, call, handle);
        unsupported("place calls")
    }

    /// Answer a ringing call. `Ok` when it is connected; do not touch audio before
    /// [`Delegate::audio_activated`].
    fn perform_answer(
        &self,
        request: &Request,
        call: Uuid,
    ) -> impl Future<Output = Performed> + Send;

    /// Hang up, decline or cancel; [`Request::reason`] says which. The call is over whatever is
    /// returned: the user's word is final.
    fn perform_end(&self, request: &Request, call: Uuid) -> impl Future<Output = Performed> + Send;

    /// Hold or resume. An app without hold reports its calls with `can_hold: Some(false)`.
    fn perform_set_held(
        &self,
        request: &Request,
        call: Uuid,
        held: bool,
    ) -> impl Future<Output = Performed> + Send {
        let _ = (request, call, held);
        unsupported("hold calls")
    }

    /// Mute or unmute the microphone.
    fn perform_set_muted(
        &self,
        request: &Request,
        call: Uuid,
        muted: bool,
    ) -> impl Future<Output = Performed> + Send {
        let _ = (request, call, muted);
        unsupported("mute calls")
    }

    /// Join the group of another call, or leave one's own.
    fn perform_set_group(
        &self,
        request: &Request,
        call: Uuid,
        with: Option<Uuid>,
    ) -> impl Future<Output = Performed> + Send {
        let _ = (request, call, with);
        unsupported("join calls")
    }

    /// Play tones.
    fn perform_play_dtmf(
        &self,
        request: &Request,
        call: Uuid,
        digits: &str,
    ) -> impl Future<Output = Performed> + Send {
        let _ = (request, call, digits);
        unsupported("play tones")
    }

    /// Turn video on or off.
    fn perform_set_video(
        &self,
        request: &Request,
        call: Uuid,
        video: bool,
    ) -> impl Future<Output = Performed> + Send {
        let _ = (request, call, video);
        unsupported("do video")
    }

    /// Perform the steps of one plan as a whole, as a GSM network holds and answers in one step. Asked
    /// only of a provider configured with `transactions`. By default the steps are performed one after
    /// the other, up to the first that fails.
    fn perform_transaction(
        &self,
        request: &Request,
        steps: &[Action],
    ) -> impl Future<Output = Performed> + Send {
        async move {
            for step in steps {
                perform_step(self, request, step).await?;
            }
            Ok(())
        }
    }

    /// The microphone and the loudspeaker are these calls' now: open the audio.
    fn audio_activated(
        &self,
        request: &Request,
        calls: &[Uuid],
    ) -> impl Future<Output = Performed> + Send {
        let _ = (request, calls);
        async { Ok(()) }
    }

    /// They are no longer: close the audio, and return when it is closed. The next holder waits.
    fn audio_deactivated(
        &self,
        request: &Request,
        calls: &[Uuid],
    ) -> impl Future<Output = Performed> + Send {
        let _ = (request, calls);
        async { Ok(()) }
    }

    /// Which calls this app still has, asked when the arbiter or the app was away. `live` is what this
    /// crate knows from the reports and performed requests of this process, `theirs` what the arbiter
    /// knew; what is not returned is ended. What is reported before this returns counts more than what
    /// it returns. Only an app that keeps calls over its own restart has to write it.
    fn reconcile(
        &self,
        live: Vec<(Uuid, CallState)>,
        theirs: Vec<(Uuid, CallState)>,
    ) -> impl Future<Output = Vec<(Uuid, CallState)>> + Send {
        let _ = theirs;
        async { live }
    }

    /// The arbiter does not take a live call over: it was away for too long, or it lost its state and
    /// its rules refuse the call now. Nobody sees or controls the call any more: end it.
    fn not_taken(&self, call: Uuid, error: Error) -> impl Future<Output = ()> + Send {
        let _ = (call, error);
        async {}
    }

    /// A request was not answered in time; the arbiter went on without it.
    fn timed_out(&self, call: Option<Uuid>, action: &str) -> impl Future<Output = ()> + Send {
        let _ = (call, action);
        async {}
    }

    /// The user allowed or forbade this app to provide calls.
    fn authorization_changed(
        &self,
        authorization: Authorization,
    ) -> impl Future<Output = ()> + Send {
        let _ = authorization;
        async {}
    }

    /// The arbiter lost its state and knows none of the calls: drop them all.
    fn reset(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

fn unsupported(what: &str) -> impl Future<Output = Performed> + Send + use<> {
    let error = ActionError::not_supported(format!("this app does not {what}"));
    async { Err(error) }
}

/// One action, by the method for it.
pub(super) async fn perform_step<D: Delegate + ?Sized>(
    delegate: &D,
    request: &Request,
    step: &Action,
) -> Performed {
    match &step.verb {
        Verb::Start { handle, call: Some(call), .. } => {
            delegate.perform_start(request, *call, handle).await
        }
        Verb::Answer { call } => delegate.perform_answer(request, id_of(call)).await,
        Verb::End { call, .. } => delegate.perform_end(request, id_of(call)).await,
        Verb::SetHeld { call, held } => {
            delegate.perform_set_held(request, id_of(call), *held).await
        }
        Verb::SetMuted { call, muted } => {
            delegate.perform_set_muted(request, id_of(call), *muted).await
        }
        Verb::SetGroup { call, with } => {
            delegate.perform_set_group(request, id_of(call), with.as_ref().map(id_of)).await
        }
        Verb::PlayDtmf { call, digits } => {
            delegate.perform_play_dtmf(request, id_of(call), digits).await
        }
        Verb::SetVideo { call, video } => {
            delegate.perform_set_video(request, id_of(call), *video).await
        }
        Verb::Start { call: None, .. } | Verb::Silence { .. } => Err(ActionError::new(
            ErrorKind::UnknownAction,
            format!("{} is nothing that a provider performs", step.verb.name()),
        )),
    }
}
