//! Who calls: the bus says which process, the kernel whether there is a wall around it.

use callarbiter_dbus::{Error, ErrorKind};
use tokio::task::spawn_blocking;
use zbus::{Connection, fdo::DBusProxy, message::Header};

use super::Refused;
use crate::identity;

/// Refuses programs in a sandbox: what is the user's own is not theirs to see or to change.
pub async fn unwalled(session: &Connection, call: &Header<'_>) -> Result<(), Refused> {
    match wall(session, call).await? {
        None => Ok(()),
        Some(_) => Err(denied(
            "a program in a sandbox may not see or change this; ask from outside of it".to_owned(),
        )),
    }
}

/// The app of whoever called, if it is behind a wall.
pub async fn wall(session: &Connection, call: &Header<'_>) -> Result<Option<String>, Refused> {
    let Some(sender) = call.sender() else { return Err(denied("nobody called".to_owned())) };
    let bus = DBusProxy::new(session).await?;
    let pid = bus.get_connection_unix_process_id(sender.clone().into()).await;
    let pid = pid.map_err(|_| denied("the bus does not tell which program calls".to_owned()))?;
    match spawn_blocking(move || identity::behind_wall(pid)).await {
        Ok(Ok(app)) => Ok(app),
        Ok(Err(error)) => Err(denied(format!("who calls is not known: {error}"))),
        Err(_) => Err(denied("who calls is not known".to_owned())),
    }
}

fn denied(why: String) -> Refused {
    Error::new(ErrorKind::AccessDenied, why).into()
}
