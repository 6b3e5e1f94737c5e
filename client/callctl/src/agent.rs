//! The agent of this session, on the user's session bus: what is the user's own is asked of it.
//!
//! Owns the connection and how its failures read. What is asked, the commands know.

use callarbiter_dbus::{Dict, Error, names::AGENT_BUS_NAME};
use zbus::{Connection, Variant, connection::Builder};

use crate::failure::Failure;

pub struct Agent {
    connection: Connection,
}

impl Agent {
    /// On the session bus of the environment, or the one at this address.
    pub async fn open(address: Option<&str>) -> Result<Agent, Failure> {
        let builder = match address {
            Some(address) => Builder::address(address),
            None => Builder::session(),
        };
        let connection = builder.build().await;
        let connection = connection
            .map_err(|error| absent(format!("cannot connect to the session bus: {error}")))?;
        Ok(Agent { connection })
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Where a part of the agent is not there.
const UNSERVED: [&str; 3] = [".UnknownObject", ".UnknownInterface", ".UnknownMethod"];

pub fn failure(error: zbus::Error) -> Failure {
    let gone = "org.freedesktop.DBus.Error.ServiceUnknown";
    match Error::from_zbus(&error) {
        Some(error) if error.name.as_str() == gone => absent(format!(
            "the agent of this session is not running: nobody owns {AGENT_BUS_NAME} on the session bus"
        )),
        Some(error) if error.kind().is_some() => refused(&error),
        Some(error) if UNSERVED.iter().any(|name| error.name.as_str().ends_with(name)) => {
            Failure::refused(
                "the agent of this session does not serve that: it was started without that part, or another \
                 program has taken its role",
            )
        }
        Some(error) => Failure::refused(error.to_string()),
        None => absent(error.to_string()),
    }
}

pub fn refused(error: &Error) -> Failure {
    Failure::Declined { error: error.name.as_str().to_owned(), message: error.message.clone() }
}

fn absent(message: String) -> Failure {
    Failure::NoAgent { message }
}

/// One entry of what the agent is asked.
pub fn put(dict: &mut Dict, key: &str, value: impl Into<Variant<'static>>) {
    // Fails only for file descriptors.
    if let Ok(value) = value.into().try_into_owned() {
        dict.insert(key.to_owned(), value);
    }
}
