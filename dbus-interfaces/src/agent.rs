//! What agents answer, and the one dictionary among what they are asked.
//!
//! Owns the dictionary of `Manager.AgentReply`, read strictly: it comes from a caller, and an entry of
//! `Agent.ApplyAudio`. Which key a request asks for is in the interface file of `Agent`.

use std::fmt;

use zbus::OwnedObjectPath;

use crate::{
    Dict, Error, Fields,
    fields::{Writer, debug_keys, missing, paths},
    limits,
    words::{AppIdSource, Authorization, Ground, Verdict},
};

/// An answer; a request takes the keys that it asks for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AgentAnswer {
    /// The name of an error: it could not be done.
    pub error: Option<String>,
    /// Why, for people.
    pub message: Option<String>,
    /// Of `RequestConsent`.
    pub authorization: Option<Authorization>,
    /// Of `Identify`: the app.
    pub app_id: Option<String>,
    /// Of `Identify`: what says so.
    pub source: Option<AppIdSource>,
    /// Of `LookUp`: as the user wrote it.
    pub name: Option<String>,
    /// Of `LookUp`: the entry of the address book.
    pub contact_id: Option<String>,
    /// Of `ApplyAudio`: all others are quiet.
    pub enforced: bool,
    /// Of `ApplyAudio`: the providers whose microphones carry silence.
    pub muted: Vec<OwnedObjectPath>,
    /// Of `Screen`.
    pub verdict: Option<Verdict>,
    /// Of `Screen`: it rings through do-not-disturb.
    pub urgent: bool,
    /// Of `Screen`: what the verdict is about.
    pub reason: Option<Ground>,
    /// Of `Screen`: why, for the user.
    pub detail: Option<String>,
}

impl AgentAnswer {
    /// It could not be done.
    pub fn failed(error: &str, message: &str) -> Self {
        let (error, message) = (Some(error.to_owned()), Some(message.to_owned()));
        AgentAnswer { error, message, ..AgentAnswer::default() }
    }

    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default()
            .text("error", self.error.as_deref())
            .text("message", self.message.as_deref())
            .text("authorization", self.authorization.as_ref().map(Authorization::as_str))
            .text("app-id", self.app_id.as_deref())
            .text("source", self.source.as_ref().map(AppIdSource::as_str))
            .text("name", self.name.as_deref())
            .text("contact-id", self.contact_id.as_deref())
            .flag("enforced", self.enforced)
            .put("muted", (!self.muted.is_empty()).then(|| paths(&self.muted)))
            .text("verdict", self.verdict.as_ref().map(Verdict::as_str))
            .flag("urgent", self.urgent)
            .text("reason", self.reason.as_ref().map(Ground::as_str))
            .text("detail", self.detail.as_deref())
            .done()
    }

    /// From an agent.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::bounded(dict)?;
        let text = |key: &str, most| Ok(fields.text(key, most)?.map(str::to_owned));
        Ok(AgentAnswer {
            error: text("error", limits::APP_ID_BYTES)?,
            message: text("message", limits::MESSAGE_BYTES)?,
            authorization: fields.any_text("authorization")?.map(Authorization::from),
            app_id: text("app-id", limits::APP_ID_BYTES)?,
            source: fields.any_text("source")?.map(AppIdSource::from),
            name: text("name", limits::DISPLAY_NAME_BYTES)?.map(limits::legible),
            contact_id: text("contact-id", limits::OPAQUE_ID_BYTES)?,
            enforced: fields.flag("enforced")?.unwrap_or_default(),
            muted: fields.paths("muted")?.unwrap_or_default(),
            verdict: fields.any_text("verdict")?.map(Verdict::from),
            urgent: fields.flag("urgent")?.unwrap_or_default(),
            reason: fields.any_text("reason")?.map(Ground::from),
            detail: text("detail", limits::MESSAGE_BYTES)?,
        })
    }
}

impl fmt::Debug for AgentAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_keys(f, "AgentAnswer", &self.to_dict())
    }
}

/// One app with calls, as the agent is to treat its streams: an entry of `ApplyAudio`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioApp {
    /// The object of the provider.
    pub provider: OwnedObjectPath,
    /// Its app id.
    pub app_id: String,
    /// The process of its connection; none where the bus does not tell, or the app is gone.
    pub pid: Option<u32>,
    /// Its calls have the audio: its streams are left alone.
    pub audio: bool,
    /// Its microphone is to carry silence, since its only call is muted.
    pub silence: bool,
}

impl AudioApp {
    /// From the arbiter.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::trusted(dict);
        Ok(AudioApp {
            provider: fields.path("provider")?.ok_or_else(|| missing("provider"))?,
            app_id: fields.any_text("app-id")?.unwrap_or_default().to_owned(),
            pid: fields.number("pid")?,
            audio: fields.flag("audio")?.unwrap_or_default(),
            silence: fields.flag("silence")?.unwrap_or_default(),
        })
    }
}
