//! What happened to calls, for the administrator's journal: identifiers and closed words only.
//!
//! Owns the wording. Never sees a handle, a name or a message, because the core's events have none.

use callarbiter_core::{Event, Happening};
use tracing::{info, warn};

use crate::log::ids;

/// Writes one event.
pub fn write(event: &Event) {
    let uid = event.uid.0;
    let provider = event.app.as_ref();
    let call_id = event.call.map(tracing::field::display);
    match event.what {
        Happening::Began { direction, state } => {
            let (direction, new) = (direction.name(), state.name());
            info!(
                message_id = ids::CALL_BEGAN,
                uid, provider, call_id, direction, new, "call begins"
            );
        }
        Happening::Transition { old, new, reason } => {
            let (old, new) = (old.name(), new.name());
            info!(
                message_id = ids::CALL_TRANSITION,
                uid, provider, call_id, old, new, reason, "call"
            );
        }
        Happening::Registered => {
            info!(message_id = ids::PROVIDER_REGISTERED, uid, provider, "provider registered");
        }
        Happening::Lost => {
            info!(message_id = ids::PROVIDER_LOST, uid, provider, "provider is gone");
        }
        Happening::Unresponsive { action } => {
            warn!(
                message_id = ids::PROVIDER_UNRESPONSIVE,
                uid, provider, call_id, action, "provider did not answer in time"
            );
        }
        Happening::Differs { ours, theirs } => {
            let (ours, theirs) = (ours.name(), theirs.name());
            warn!(
                message_id = ids::CALL_DIFFERS,
                uid, provider, call_id, ours, theirs, "the app says otherwise after a restart"
            );
        }
        Happening::AudioGranted => {
            info!(message_id = ids::AUDIO, uid, provider, call_id, "audio granted");
        }
        Happening::AudioReleased => {
            info!(message_id = ids::AUDIO, uid, provider, call_id, "audio released");
        }
    }
}
