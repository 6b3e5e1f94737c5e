//! The agent keeps the screen on and the machine awake, and asks nobody before it has to. What logind does with it
//! is seen in `tests/systemd`; the logind and the screen saver here only count: no machine that tests has a
//! desktop, and a real logind does not come and go on demand.

use std::{
    collections::HashMap,
    io::Read,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use futures_util::StreamExt;
use harness::{Bus, Process, eventually};
use tokio::task::JoinHandle;
use zbus::{Connection, Fd, Message, MessageStream, fdo::DBusProxy, message::Type};

use crate::desk::Desk;

const LOGIND: &str = "org.freedesktop.login1";
const SCREEN_SAVER: &str = "org.freedesktop.ScreenSaver";

#[tokio::test]
async fn while_a_call_rings_or_is_active_and_not_while_it_is_held() -> Result<()> {
    let (desk, system) = (Desk::new().await?, Bus::session().await?);
    let logind = Inhibitors::own(&system, LOGIND).await?;
    let screen = Inhibitors::own(desk.bus(), SCREEN_SAVER).await?;
    let agent = agent(&desk, &system).await?;
    assert_eq!(people_on(&system).await?, 1, "nobody asks for anything without a call");

    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    logind.holds(&["handle-lid-switch", "idle", "sleep"]).await?;
    screen.holds(&["A call rings or is active"]).await?;
    desk.phone.peer.answer(&call.path).await?;
    desk.phone.peer.hold(&call.path).await?;
    logind.holds(&[]).await?;
    screen.holds(&[]).await?;
    desk.phone.peer.unhold(&call.path).await?;
    logind.holds(&["handle-lid-switch", "idle", "sleep"]).await?;
    screen.holds(&["A call rings or is active"]).await?;
    desk.phone.peer.end(&call.path).await?;
    logind.holds(&[]).await?;
    screen.holds(&[]).await?;
    alone_on(&system).await?;

    // Killed in a call, it leaves nothing.
    desk.talk("sip:ada@example.org").await?;
    logind.holds(&["handle-lid-switch", "idle", "sleep"]).await?;
    drop(agent);
    logind.holds(&[]).await?;
    alone_on(&system).await
}

#[tokio::test]
async fn they_come_late_and_come_again_and_the_lid_is_a_wish() -> Result<()> {
    let (desk, system) = (Desk::new().await?, Bus::session().await?);
    let wishes = desk.bus().directory().join("home/.config/callarbiter");
    std::fs::create_dir_all(&wishes)?;
    std::fs::write(wishes.join("agent.toml"), "[power]\nlid = false\n")?;
    let mut agent = agent(&desk, &system).await?;
    let call = desk.talk("sip:ada@example.org").await?;
    for _ in 0..2 {
        let logind = Inhibitors::own(&system, LOGIND).await?;
        let screen = Inhibitors::own(desk.bus(), SCREEN_SAVER).await?;
        logind.holds(&["idle", "sleep"]).await?;
        screen.holds(&["A call rings or is active"]).await?;
        logind.leave().await?;
        screen.leave().await?;
    }
    desk.phone.peer.end(&call.path).await?;
    alone_on(&system).await?;

    // Without a system bus a call is a call all the same.
    drop(system);
    let call = desk.talk("sip:ada@example.org").await?;
    desk.phone.peer.end(&call.path).await?;
    agent.signal("TERM")?;
    assert!(agent.end().await?.success(), "{}", agent.log());
    Ok(())
}

async fn agent(desk: &Desk, system: &Bus) -> Result<Process> {
    let address = ("DBUS_SYSTEM_BUS_ADDRESS", PathBuf::from(system.address()));
    desk.agent_in("power", &[address]).await
}

/// How many are on this bus, whoever asks not counted.
async fn people_on(bus: &Bus) -> Result<usize> {
    let address = bus.address();
    let connection = zbus::connection::Builder::address(address.as_str()).build().await?;
    let names = DBusProxy::new(&connection).await?.list_names().await?;
    Ok(names.iter().filter(|name| name.starts_with(':')).count() - 1)
}

/// Waits until only the pretended one is there, or not even that.
async fn alone_on(bus: &Bus) -> Result<()> {
    let alone = async || (people_on(bus).await.ok()? <= 1).then_some(());
    eventually("nobody is on the system bus without need", alone).await
}

/// Whoever can be asked to wait.
struct Inhibitors {
    connection: Connection,
    held: Arc<Mutex<Held>>,
    server: JoinHandle<()>,
}

/// What is held: by a file that is closed, or until it is taken back.
#[derive(Default)]
struct Held {
    files: Vec<(String, UnixStream)>,
    cookies: HashMap<u32, String>,
}

impl Inhibitors {
    async fn own(bus: &Bus, name: &str) -> Result<Inhibitors> {
        let address = bus.address();
        let connection = zbus::connection::Builder::address(address.as_str()).build().await?;
        let held = Arc::default();
        let stream = MessageStream::from(&connection);
        let server = tokio::spawn(serve(connection.clone(), stream, Arc::clone(&held)));
        connection.request_name(name).await?;
        Ok(Inhibitors { connection, held, server })
    }

    /// Waits until exactly this is held.
    async fn holds(&self, what: &[&str]) -> Result<()> {
        let held = || {
            let mut held = self.held.lock().unwrap();
            held.files.retain_mut(|(_, file)| file.read(&mut [0]).is_err());
            let files = held.files.iter().map(|(what, _)| what.clone());
            let mut all: Vec<String> = files.chain(held.cookies.values().cloned()).collect();
            all.sort();
            all
        };
        eventually(&format!("{what:?} is held"), async || (held() == what).then_some(())).await
    }

    async fn leave(self) -> Result<()> {
        Ok(self.connection.clone().close().await?)
    }
}

impl Drop for Inhibitors {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(connection: Connection, mut stream: MessageStream, held: Arc<Mutex<Held>>) {
    while let Some(Ok(message)) = stream.next().await {
        if message.message_type() == Type::MethodCall
            && answer(&connection, &message, &held).await.is_err()
        {
            return;
        }
    }
}

async fn answer(connection: &Connection, message: &Message, held: &Mutex<Held>) -> Result<()> {
    let (header, body) = (message.header(), message.body());
    match header.member().map(|member| member.as_str()) {
        Some("Inhibit") if header.signature().to_string().contains("ssss") => {
            let (what, who, why, mode): (String, String, String, String) = body.deserialize()?;
            assert_eq!((who.as_str(), mode.as_str()), ("Callarbiter", "block"));
            assert!(!why.contains('@'), "{why}");
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            held.lock().unwrap().files.push((what, ours));
            connection.reply(&header, &Fd::from(OwnedFd::from(theirs))).await?;
        }
        Some("Inhibit") => {
            let (_, why): (String, String) = body.deserialize()?;
            let cookie = held.lock().unwrap().cookies.len() as u32 + 7;
            held.lock().unwrap().cookies.insert(cookie, why);
            connection.reply(&header, &cookie).await?;
        }
        Some("UnInhibit") => {
            let cookie: u32 = body.deserialize()?;
            held.lock().unwrap().cookies.remove(&cookie);
            connection.reply(&header, &()).await?;
        }
        _ => {}
    }
    Ok(())
}
