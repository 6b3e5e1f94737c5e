//! Options of the methods that a controller or an agent calls, and what registration returns.
//!
//! Owns their form; what they mean is in the interface files.

use std::fmt;

use uuid::Uuid;

use crate::{
    Dict, Error, Fields,
    fields::{Writer, debug_keys},
    limits,
    words::{Authorization, EndReason, Role},
};

/// Options of `Manager.RequestTransaction`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// The reply comes when the transaction has finished, at the latest after 20 s.
    pub wait: bool,
    /// Makes the request idempotent for an hour: the same token returns the same object.
    pub token: Option<Uuid>,
}

impl TransactionOptions {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default().flag("wait", self.wait).uuid("token", self.token).done()
    }

    /// From a caller.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::bounded(dict)?;
        Ok(TransactionOptions {
            wait: fields.flag("wait")?.unwrap_or(false),
            token: fields.uuid("token")?,
        })
    }
}

/// An app id, where one is given.
pub(crate) fn app_id(fields: Fields<'_>, key: &str) -> Result<Option<String>, Error> {
    match fields.text(key, limits::APP_ID_BYTES)? {
        Some(app) if !limits::is_app_id(app) => {
            Err(Error::invalid_argument(format!("`{key}` must be an app id: {}", limits::APP_ID)))
        }
        app => Ok(app.map(str::to_owned)),
    }
}

/// Options of `Manager.StartCall`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// The app id of the provider; absent: chosen by the handle.
    pub provider: Option<String>,
    /// The call's UUID; absent: the arbiter makes one.
    pub call: Option<Uuid>,
    /// With video.
    pub has_video: bool,
    /// The reply comes when the provider has placed the call, at the latest after 20 s.
    pub wait: bool,
    /// Makes the request idempotent for an hour: the same token returns the same object.
    pub token: Option<Uuid>,
}

impl StartOptions {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default()
            .text("provider", self.provider.as_deref())
            .uuid("call", self.call)
            .flag("has-video", self.has_video)
            .flag("wait", self.wait)
            .uuid("token", self.token)
            .done()
    }

    /// From a caller.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::bounded(dict)?;
        Ok(StartOptions {
            provider: app_id(fields, "provider")?,
            call: fields.uuid("call")?,
            has_video: fields.flag("has-video")?.unwrap_or(false),
            wait: fields.flag("wait")?.unwrap_or(false),
            token: fields.uuid("token")?,
        })
    }
}

impl fmt::Debug for StartOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_keys(f, "StartOptions", &self.to_dict())
    }
}

/// Options of `Call.End`; `expected-state` is read apart, as in every action.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EndOptions {
    /// Why; absent: what fits the call's state.
    pub reason: Option<EndReason>,
    /// A sentence for the far end, where the network carries one.
    pub message: Option<String>,
}

impl EndOptions {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default()
            .text("reason", self.reason.as_ref().map(EndReason::as_str))
            .text("message", self.message.as_deref())
            .done()
    }

    /// From a caller.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        EndOptions::read(Fields::bounded(dict)?)
    }

    /// From the parameters of an action, or from options.
    pub(crate) fn read(fields: Fields<'_>) -> Result<Self, Error> {
        let reason = match fields.any_text("reason")?.map(EndReason::from) {
            Some(EndReason::Other(_)) => {
                return Err(Error::invalid_argument(format!(
                    "`reason` must be one of {}",
                    EndReason::KNOWN.join(", ")
                )));
            }
            reason => reason,
        };
        let message = fields.text("message", limits::MESSAGE_BYTES)?.map(str::to_owned);
        Ok(EndOptions { reason, message })
    }
}

impl fmt::Debug for EndOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_keys(f, "EndOptions", &self.to_dict())
    }
}

/// Options of `Manager.SetDoNotDisturb`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DoNotDisturbOptions {
    /// Show calls silently instead of refusing them.
    pub quiet: bool,
    /// Handles of people who ring all the same.
    pub allow: Vec<String>,
}

impl DoNotDisturbOptions {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        let allow = Some(self.allow.clone()).filter(|allow| !allow.is_empty());
        Writer::default().flag("quiet", self.quiet).put("allow", allow).done()
    }

    /// From a caller.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::bounded(dict)?;
        let allow = fields.texts("allow")?.unwrap_or_default();
        if allow.len() > limits::ALLOWED_HANDLES {
            return Err(Error::invalid_argument(format!(
                "`allow` has {} handles; at most {} are read",
                allow.len(),
                limits::ALLOWED_HANDLES
            )));
        }
        if !allow.iter().all(|handle| limits::text_fits(handle, limits::HANDLE_BYTES)) {
            return Err(Error::invalid_argument(format!(
                "each handle of `allow` must have at most {} bytes and no control characters",
                limits::HANDLE_BYTES
            )));
        }
        Ok(DoNotDisturbOptions {
            quiet: fields.flag("quiet")?.unwrap_or(false),
            allow: allow.into_iter().map(str::to_owned).collect(),
        })
    }
}

impl fmt::Debug for DoNotDisturbOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_keys(f, "DoNotDisturbOptions", &self.to_dict())
    }
}

/// What `Manager.RegisterProvider` returns beside the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationState {
    /// Whether the app may provide calls.
    pub authorization: Authorization,
    /// `Manager.Epoch`: another value than before means that the arbiter lost its state.
    pub epoch: String,
}

impl RegistrationState {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default()
            .text("authorization", Some(self.authorization.as_str()))
            .text("epoch", Some(&self.epoch))
            .done()
    }

    /// From the arbiter: what is not understood is empty.
    pub fn from_dict(dict: &Dict) -> Self {
        let fields = Fields::trusted(dict);
        let text = |key: &str| fields.any_text(key).ok().flatten().unwrap_or_default();
        RegistrationState {
            authorization: Authorization::from(text("authorization")),
            epoch: text("epoch").to_owned(),
        }
    }
}

/// Options of `Manager.RegisterAgent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleOptions {
    /// Only those roles that no other connection has.
    pub only_free: bool,
}

impl RoleOptions {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default().flag("only-free", self.only_free).done()
    }

    /// From a caller.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let only_free = Fields::bounded(dict)?.flag("only-free")?;
        Ok(RoleOptions { only_free: only_free.unwrap_or(false) })
    }
}

/// What `Manager.RegisterAgent` returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleState {
    /// Those that were taken.
    pub roles: Vec<Role>,
}

impl RoleState {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        let roles: Vec<String> = self.roles.iter().map(|role| role.as_str().to_owned()).collect();
        Writer::default().put("roles", Some(roles)).done()
    }

    /// From the arbiter: what is not understood is empty.
    pub fn from_dict(dict: &Dict) -> Self {
        let roles = Fields::trusted(dict).texts("roles").ok().flatten().unwrap_or_default();
        RoleState { roles: roles.into_iter().map(Role::from).collect() }
    }
}
