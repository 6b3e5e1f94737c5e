//! What travels between an app that carries calls and the arbiter.
//!
//! Owns the dictionaries of `Provider` (from the app: read strictly) and of `ProviderDelegate` (from
//! the arbiter: read tolerantly).

use std::{collections::HashMap, fmt};

use uuid::Uuid;

use crate::{
    Dict, Error, Fields, Ringtone,
    fields::{Writer, debug_keys},
    limits, names,
    words::{CallState, EndReason, HoldModel, Origin, Records, Ringer},
};

/// What a provider tells about itself. An absent key keeps its value in `UpdateConfiguration`, and
/// takes its default in `RegisterProvider`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Its name for people.
    pub display_name: Option<String>,
    /// An icon name of the icon theme.
    pub icon: Option<String>,
    /// What rings for its calls.
    pub ringtone: Option<Ringtone>,
    /// Shown when the user is asked whether it may provide calls.
    pub usage_description: Option<String>,
    /// Whether its calls may have video; default false.
    pub supports_video: Option<bool>,
    /// The schemes of handles that it can call: `tel`, `sip` …
    pub supported_schemes: Option<Vec<String>>,
    /// Its own limit of groups, if lower than the arbiter's.
    pub maximum_call_groups: Option<u32>,
    /// Its own limit of calls in a group, if lower than the arbiter's.
    pub maximum_calls_per_group: Option<u32>,
    /// How its network holds calls; default `per-call`.
    pub hold_model: Option<HoldModel>,
    /// It performs the steps of one plan whole (`PerformTransaction`); default false.
    pub transactions: Option<bool>,
    /// What may be recorded of its calls; default `none`.
    pub records: Option<Records>,
    /// Who rings; default the arbiter's.
    pub ringer: Option<Ringer>,
    /// Tells several of one app apart, for example browser tabs. Only in `RegisterProvider`.
    pub instance: Option<String>,
}

impl Configuration {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Ringtone::write(self.ringtone.as_ref(), Writer::default())
            .text("display-name", self.display_name.as_deref())
            .text("icon", self.icon.as_deref())
            .text("usage-description", self.usage_description.as_deref())
            .put("supports-video", self.supports_video)
            .put("supported-schemes", self.supported_schemes.clone())
            .put("maximum-call-groups", self.maximum_call_groups)
            .put("maximum-calls-per-group", self.maximum_calls_per_group)
            .text("hold-model", self.hold_model.as_ref().map(HoldModel::as_str))
            .put("transactions", self.transactions)
            .text("records", self.records.as_ref().map(Records::as_str))
            .text("ringer", self.ringer.as_ref().map(Ringer::as_str))
            .text("instance", self.instance.as_deref())
            .done()
    }

    /// From a provider. Words of a later version become `Other`: the arbiter takes its default.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::bounded(dict)?;
        let text = |key: &str, max| fields.text(key, max).map(|text| text.map(str::to_owned));
        let word = |key: &str| fields.text(key, limits::SCHEME_BYTES);
        Ok(Configuration {
            display_name: text("display-name", limits::DISPLAY_NAME_BYTES)?.map(limits::legible),
            icon: theme_name(fields, "icon")?,
            ringtone: Ringtone::read(fields)?,
            usage_description: text("usage-description", limits::USAGE_DESCRIPTION_BYTES)?,
            supports_video: fields.flag("supports-video")?,
            supported_schemes: schemes(fields)?,
            maximum_call_groups: fields.number("maximum-call-groups")?,
            maximum_calls_per_group: fields.number("maximum-calls-per-group")?,
            hold_model: word("hold-model")?.map(HoldModel::from),
            transactions: fields.flag("transactions")?,
            records: word("records")?.map(Records::from),
            ringer: word("ringer")?.map(Ringer::from),
            instance: text("instance", limits::INSTANCE_BYTES)?,
        })
    }
}

/// The name of something of a theme. A path would have the desktop open files that the app may not.
pub(crate) fn theme_name(fields: Fields<'_>, key: &str) -> Result<Option<String>, Error> {
    let name = fields.text(key, limits::THEME_NAME_BYTES)?;
    if name.is_some_and(|name| name.contains('/')) {
        return Err(Error::invalid_argument(format!(
            "`{key}` is a name of the theme, like `call-start`, and no path"
        )));
    }
    Ok(name.map(str::to_owned))
}

fn schemes(fields: Fields<'_>) -> Result<Option<Vec<String>>, Error> {
    let Some(schemes) = fields.texts("supported-schemes")? else { return Ok(None) };
    if schemes.len() > limits::SCHEMES || !schemes.iter().all(|scheme| limits::is_scheme(scheme)) {
        return Err(Error::invalid_argument(format!(
            "`supported-schemes` must be at most {} schemes in lower case without `:`, each of at \
             most {} bytes",
            limits::SCHEMES,
            limits::SCHEME_BYTES
        )));
    }
    Ok(Some(schemes.into_iter().map(str::to_owned).collect()))
}

/// Details of a call; only the keys given change.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CallUpdate {
    /// The far end's address.
    pub remote_handle: Option<String>,
    /// The far end's name.
    pub display_name: Option<String>,
    /// It has video.
    pub has_video: Option<bool>,
    /// It can be held; default true.
    pub can_hold: Option<bool>,
    /// It can be joined with others; default true.
    pub can_group: Option<bool>,
    /// It can play tones; default true.
    pub can_dtmf: Option<bool>,
    /// How long it rings, ms; default 60 000.
    pub ring_timeout_ms: Option<u32>,
    /// The same in every app that carries the same call.
    pub correlation_id: Option<String>,
    /// The app's own id of the contact.
    pub contact_id: Option<String>,
    /// Its media is encrypted.
    pub encrypted: Option<bool>,
}

impl CallUpdate {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default()
            .text("remote-handle", self.remote_handle.as_deref())
            .text("display-name", self.display_name.as_deref())
            .put("has-video", self.has_video)
            .put("can-hold", self.can_hold)
            .put("can-group", self.can_group)
            .put("can-dtmf", self.can_dtmf)
            .put("ring-timeout", self.ring_timeout_ms)
            .text("correlation-id", self.correlation_id.as_deref())
            .text("contact-id", self.contact_id.as_deref())
            .put("encrypted", self.encrypted)
            .done()
    }

    /// From a provider.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::bounded(dict)?;
        let text = |key: &str, max| fields.text(key, max).map(|text| text.map(str::to_owned));
        Ok(CallUpdate {
            remote_handle: text("remote-handle", limits::HANDLE_BYTES)?,
            display_name: text("display-name", limits::DISPLAY_NAME_BYTES)?.map(limits::legible),
            has_video: fields.flag("has-video")?,
            can_hold: fields.flag("can-hold")?,
            can_group: fields.flag("can-group")?,
            can_dtmf: fields.flag("can-dtmf")?,
            ring_timeout_ms: ring_timeout(fields)?,
            correlation_id: text("correlation-id", limits::OPAQUE_ID_BYTES)?,
            contact_id: text("contact-id", limits::OPAQUE_ID_BYTES)?,
            encrypted: fields.flag("encrypted")?,
        })
    }
}

fn ring_timeout(fields: Fields<'_>) -> Result<Option<u32>, Error> {
    let range = limits::RING_TIMEOUT_MIN_MS..=limits::RING_TIMEOUT_MAX_MS;
    match fields.number("ring-timeout")? {
        Some(ms) if !range.contains(&ms) => Err(Error::invalid_argument(format!(
            "`ring-timeout` must be between {} and {} ms",
            range.start(),
            range.end()
        ))),
        ms => Ok(ms),
    }
}

impl fmt::Debug for CallUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_keys(f, "CallUpdate", &self.to_dict())
    }
}

/// Details of `Provider.ReportState`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDetails {
    /// The far end holds the call (true) or no longer does.
    pub remote_held: Option<bool>,
}

impl StateDetails {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default().put("remote-held", self.remote_held).done()
    }

    /// From a provider.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        Ok(StateDetails { remote_held: Fields::bounded(dict)?.flag("remote-held")? })
    }
}

/// Details of `Provider.ReportEnded`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EndDetails {
    /// The provider's words.
    pub message: Option<String>,
}

impl EndDetails {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default().text("message", self.message.as_deref()).done()
    }

    /// From a provider.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let message = Fields::bounded(dict)?.text("message", limits::MESSAGE_BYTES)?;
        Ok(EndDetails { message: message.map(str::to_owned) })
    }
}

impl fmt::Debug for EndDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_keys(f, "EndDetails", &self.to_dict())
    }
}

/// Options of every `Perform…`, `AudioActivated` and `AudioDeactivated`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PerformOptions {
    /// How long the arbiter waits for the answer, ms from now.
    pub deadline_ms: Option<u32>,
    /// Whose wish it is.
    pub origin: Option<Origin>,
    /// `PerformStart`: with video.
    pub has_video: bool,
    /// `PerformEnd`: why.
    pub reason: Option<EndReason>,
    /// `PerformEnd`: a sentence for the far end.
    pub message: Option<String>,
}

impl PerformOptions {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default()
            .put("deadline", self.deadline_ms)
            .text("origin", self.origin.as_ref().map(Origin::as_str))
            .flag("has-video", self.has_video)
            .text("reason", self.reason.as_ref().map(EndReason::as_str))
            .text("message", self.message.as_deref())
            .done()
    }

    /// From the arbiter: what is not understood is absent.
    pub fn from_dict(dict: &Dict) -> Self {
        let fields = Fields::trusted(dict);
        let text = |key: &str| fields.any_text(key).ok().flatten();
        PerformOptions {
            deadline_ms: fields.number("deadline").ok().flatten(),
            origin: text("origin").map(Origin::from),
            has_video: fields.flag("has-video").ok().flatten().unwrap_or(false),
            reason: text("reason").map(EndReason::from),
            message: text("message").map(str::to_owned),
        }
    }
}

impl fmt::Debug for PerformOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_keys(f, "PerformOptions", &self.to_dict())
    }
}

/// Calls and their states, `a{sa{sv}}`: what `Reconcile` says that a provider had, and what its
/// `Fulfil` says that it still has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconciledCalls(pub Vec<(Uuid, CallState)>);

impl ReconciledCalls {
    /// `a{sa{sv}}`, the argument of `Reconcile`.
    pub fn to_wire(&self) -> HashMap<String, Dict> {
        let state =
            |state: &CallState| Writer::default().text("state", Some(state.as_str())).done();
        self.0.iter().map(|(uuid, word)| (uuid.to_string(), state(word))).collect()
    }

    /// The argument of `Reconcile`: calls that are not understood are left out.
    pub fn from_wire(calls: &HashMap<String, Dict>) -> Self {
        let read = |(uuid, details): (&String, &Dict)| {
            let state = Fields::trusted(details).any_text("state").ok().flatten()?;
            Some((names::uuid(uuid)?, CallState::from(state)))
        };
        ReconciledCalls(calls.iter().filter_map(read).collect())
    }

    /// The results of `Fulfil`: `{calls: a{sa{sv}}}`.
    pub fn to_results(&self) -> Dict {
        Writer::default().put("calls", Some(self.to_wire())).done()
    }

    /// The results of a `Fulfil`, from a provider; none where they say nothing about calls.
    pub fn from_results(results: &Dict) -> Result<Option<Self>, Error> {
        let Some(value) = results.get("calls") else { return Ok(None) };
        let malformed = || {
            Error::invalid_argument(
                "`calls` must be a{sa{sv}}: UUIDs, each with its `state` as a string",
            )
        };
        let calls = value
            .try_clone()
            .ok()
            .and_then(|value| HashMap::<String, Dict>::try_from(value).ok())
            .ok_or_else(malformed)?;
        let read = |(uuid, details): (&String, &Dict)| {
            let state = Fields::bounded(details)?.any_text("state")?.ok_or_else(malformed)?;
            Ok((names::uuid(uuid).ok_or_else(malformed)?, CallState::from(state)))
        };
        calls
            .iter()
            .map(read)
            .collect::<Result<_, Error>>()
            .map(|calls| Some(ReconciledCalls(calls)))
    }
}
