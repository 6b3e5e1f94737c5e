//! Where the sound can go: `Manager.SetEndpoints` and `AudioSession.Endpoints`.
//!
//! Owns the form of one endpoint. Which there are, the holder of role `audio` says.

use crate::{Dict, Error, Fields, fields::Writer, limits, words::EndpointKind};

/// One place where the sound can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name for programs.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it is.
    pub kind: EndpointKind,
}

impl Endpoint {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        Writer::default()
            .text("id", Some(&self.id))
            .text("name", Some(&self.name))
            .text("kind", Some(self.kind.as_str()))
            .done()
    }

    /// From an agent.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::bounded(dict)?;
        let id = fields.text("id", limits::ENDPOINT_ID_BYTES)?.unwrap_or_default();
        if id.is_empty() {
            return Err(Error::invalid_argument("an endpoint needs an `id`"));
        }
        let name = fields.text("name", limits::DISPLAY_NAME_BYTES)?.unwrap_or(id);
        let kind = fields.text("kind", limits::ENDPOINT_ID_BYTES)?.unwrap_or("other");
        Ok(Endpoint { id: id.to_owned(), name: name.to_owned(), kind: EndpointKind::from(kind) })
    }
}
