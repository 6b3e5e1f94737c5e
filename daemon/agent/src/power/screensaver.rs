//! The session's own screen saver, where one owns `org.freedesktop.ScreenSaver`: Plasma, GNOME and most others
//! forward it to what blanks their screen, which does not ask logind.
//!
//! Owns a connection of its own while a call needs it, so that a crash releases what was asked for; nobody is
//! started for it.

use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::watch;
use tracing::debug;
use zbus::{Connection, DynamicType, Message, connection::Builder, fdo::DBusProxy, names::BusName};

use super::{ANSWER_WITHIN, Pause, WHO, WHY, turns};

const NAME: &str = "org.freedesktop.ScreenSaver";
const PATH: &str = "/org/freedesktop/ScreenSaver";

/// Keeps the screen on whenever that is wanted.
pub async fn run(mut wanted: watch::Receiver<bool>) {
    while turns(&mut wanted, true).await.is_some() {
        let mut asked = None;
        tokio::select! {
            () = keep(&mut asked) => {}
            _ = turns(&mut wanted, false) => {}
        }
        if let Some((session, cookie)) = asked {
            let _ = ask(&session, "UnInhibit", &cookie).await;
        }
    }
}

/// As long as it runs. `asked` is what has to be taken back after.
async fn keep(asked: &mut Option<(Connection, u32)>) {
    let mut pause = Pause::FIRST;
    loop {
        if let Err(error) = hold(asked).await {
            debug!(%error, "the session bus is not there");
        }
        pause.pass().await;
    }
}

/// Until the bus is gone; over restarts of the screen saver.
async fn hold(asked: &mut Option<(Connection, u32)>) -> zbus::Result<()> {
    let session = Builder::session().method_timeout(ANSWER_WITHIN).build().await?;
    let bus = DBusProxy::new(&session).await?;
    let mut owners = bus.receive_name_owner_changed_with_args(&[(0, NAME)]).await?;
    let mut there = bus.name_has_owner(BusName::try_from(NAME)?).await?;
    loop {
        *asked = None;
        if there {
            let cookie = ask(&session, "Inhibit", &(WHO, WHY)).await;
            match cookie.and_then(|cookie| cookie.body().deserialize::<u32>()) {
                Ok(cookie) => *asked = Some((session.clone(), cookie)),
                Err(error) => debug!(%error, "the screen saver does not wait"),
            }
        }
        let Some(change) = owners.next().await else { return Ok(()) };
        there = change.args().is_ok_and(|args| args.new_owner().is_some());
    }
}

async fn ask(
    session: &Connection,
    what: &str,
    arguments: &(impl Serialize + DynamicType),
) -> zbus::Result<Message> {
    session.call_method(Some(NAME), PATH, Some(NAME), what, arguments).await
}
