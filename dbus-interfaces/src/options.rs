//! Options of `RequestTransaction`, `PlanTransaction` and `StartCall`.

use std::fmt;

use uuid::Uuid;

use crate::{
    Dict, Error, Fields,
    fields::{Writer, debug_keys},
    limits,
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
            provider: fields.text("provider", limits::APP_ID_BYTES)?.map(str::to_owned),
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
