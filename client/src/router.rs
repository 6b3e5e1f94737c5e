//! One reader of everything that arrives on a connection, and where each message goes.
//!
//! Owns the check that matters: only who owns the arbiter's name is listened to. It never waits for
//! anybody, since one queue that is not emptied stops the whole connection.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use callarbiter_dbus::names::{AGENT, BUS_NAME, MANAGER, PROVIDER_DELEGATE, TRANSACTION};
use futures_util::StreamExt;
use tokio::sync::{broadcast, mpsc, watch};
use zbus::{
    MatchRule, Message, MessageStream,
    message::{Flags, Header, Sequence, Type},
};

use crate::presence::{Bus, Presence};

const DELEGATES: &str = "/org/callarbiter/Delegate/";
const AGENTS: &str = "/org/callarbiter/Agent/";
const DRIVER: &str = "org.freedesktop.DBus";
/// What an app may leave unread before it has to take a new snapshot.
const BACKLOG: usize = 4096;
/// Outcomes that may arrive before the one who waits for them looks.
const FINISHED: usize = 256;

/// A message, and the life of the connection in which it came.
pub(crate) type Received = (u64, Message);

/// Who gets what.
pub(crate) struct Routes {
    presence: watch::Sender<Presence>,
    table: Mutex<Table>,
    finished: broadcast::Sender<Message>,
    next: AtomicU64,
    /// Held while `Subscribe` or `Unsubscribe` is under way: the arbiter counts one for a connection.
    pub subscription: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Table {
    /// Delegates and agents by their paths.
    objects: HashMap<String, mpsc::UnboundedSender<Message>>,
    signals: HashMap<u64, Sink>,
    /// Where in the stream of messages of which life the owner was last heard of.
    owner_at: (u64, Sequence),
}

struct Sink {
    queue: mpsc::Sender<Received>,
    lost: Arc<AtomicBool>,
}

/// The signals of the arbiter for one reader, which may be slow.
pub(crate) struct Signals {
    queue: mpsc::Receiver<Received>,
    lost: Arc<AtomicBool>,
    key: u64,
    routes: Arc<Routes>,
}

/// The calls for one delegate or agent; the path is free again when it is dropped.
pub(crate) struct Calls {
    queue: mpsc::UnboundedReceiver<Message>,
    path: String,
    routes: Arc<Routes>,
}

impl Default for Routes {
    fn default() -> Self {
        Routes {
            presence: watch::Sender::new(Presence::Gone),
            table: Mutex::default(),
            finished: broadcast::Sender::new(FINISHED),
            next: AtomicU64::new(1),
            subscription: tokio::sync::Mutex::default(),
        }
    }
}

impl Routes {
    pub fn presence(&self) -> watch::Receiver<Presence> {
        self.presence.subscribe()
    }

    /// The signals `Finished`, for who asked for a transaction.
    pub fn finished(&self) -> broadcast::Receiver<Message> {
        self.finished.subscribe()
    }

    pub fn signals(self: &Arc<Self>) -> Signals {
        let (sender, queue) = mpsc::channel(BACKLOG);
        let lost = Arc::new(AtomicBool::new(false));
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.table().signals.insert(key, Sink { queue: sender, lost: lost.clone() });
        Signals { queue, lost, key, routes: self.clone() }
    }

    /// Whether anybody on this connection follows the arbiter.
    pub fn is_followed(&self) -> bool {
        !self.table().signals.is_empty()
    }

    /// A new delegate at a path of its own.
    pub fn delegate(self: &Arc<Self>) -> Calls {
        self.object(DELEGATES)
    }

    /// A new agent at a path of its own; it hears of lost roles, too.
    pub fn agent(self: &Arc<Self>) -> Calls {
        self.object(AGENTS)
    }

    fn object(self: &Arc<Self>, place: &str) -> Calls {
        let (sender, queue) = mpsc::unbounded_channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = format!("{place}{number}");
        self.table().objects.insert(path.clone(), sender);
        Calls { queue, path, routes: self.clone() }
    }

    /// What the bus says about who owns the name, at this position in its stream of messages.
    pub fn owner(&self, bus: &Bus, owner: &str, position: Sequence) {
        let mut table = self.table();
        if (bus.life, position) < table.owner_at {
            return;
        }
        table.owner_at = (bus.life, position);
        self.set(match owner {
            "" => Presence::Gone,
            owner => Presence::Here(bus.owner(owner)),
        });
    }

    /// The connection is lost, and is being made again.
    pub fn left(&self) {
        self.set(Presence::Gone);
    }

    fn set(&self, presence: Presence) {
        self.presence.send_if_modified(|known| {
            let new = *known != presence && *known != Presence::Closed;
            if new {
                *known = presence;
            }
            new
        });
    }

    /// Nothing comes any more.
    pub fn closed(&self) {
        self.presence.send_replace(Presence::Closed);
        let mut table = self.table();
        table.objects.clear();
        table.signals.clear();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_arbiter(&self, life: u64, sender: &str) -> bool {
        matches!(&*self.presence.borrow(), Presence::Here(owner) if owner.sent(life, sender))
    }
}

impl Signals {
    /// The next signal; none when the connection is closed. Loses nothing if dropped.
    pub async fn next(&mut self) -> Option<Received> {
        self.queue.recv().await
    }

    /// Whether signals were dropped since the last [`Signals::restart`], and all before that were read.
    pub fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire) && self.queue.is_empty()
    }

    /// From here on every signal counts again.
    pub fn restart(&self) {
        self.lost.store(false, Ordering::Release);
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.routes.table().signals.remove(&self.key);
    }
}

impl Calls {
    pub fn path(&self) -> &str {
        &self.path
    }

    pub async fn next(&mut self) -> Option<Message> {
        self.queue.recv().await
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.routes.table().objects.remove(&self.path);
    }
}

/// The rule by which the bus tells that the arbiter came or went.
pub(crate) fn name_rule() -> zbus::Result<MatchRule<'static>> {
    MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(DRIVER)
        .interface(DRIVER)
        .member("NameOwnerChanged")
        .add_arg(BUS_NAME)
        .build()
}

/// The reader of one life of the connection.
pub(crate) struct Router {
    bus: Bus,
    routes: Arc<Routes>,
}

impl Router {
    pub fn new(bus: Bus, routes: Arc<Routes>) -> Self {
        Router { bus, routes }
    }

    /// Reads until the connection is lost.
    pub async fn run(self, mut messages: MessageStream) {
        while let Some(Ok(message)) = messages.next().await {
            match message.message_type() {
                Type::Signal => self.signal(message),
                Type::MethodCall => self.method_call(message).await,
                Type::MethodReturn | Type::Error => {}
            }
        }
    }

    fn signal(&self, message: Message) {
        let header = message.header();
        let Some(sender) = header.sender() else { return };
        if sender.as_str() == DRIVER {
            self.name_owner_changed(&message, &header);
        } else if self.routes.is_arbiter(self.bus.life, sender.as_str()) {
            if header.interface().is_some_and(|interface| interface.as_str() == TRANSACTION) {
                // Fails where nobody waits for a transaction.
                let _ = self.routes.finished.send(message.clone());
            }
            let is_about_roles = header.interface().is_some_and(|of| of.as_str() == MANAGER)
                && header.member().is_some_and(|of| matches!(of.as_str(), "RoleLost" | "RoleFree"));
            if is_about_roles {
                let table = self.routes.table();
                for (_, agent) in table.objects.iter().filter(|(path, _)| path.starts_with(AGENTS))
                {
                    // It is being dropped.
                    let _ = agent.send(message.clone());
                }
                return;
            }
            for sink in self.routes.table().signals.values() {
                // After the first loss nothing is worth queueing until the reader starts again.
                if !sink.lost.load(Ordering::Acquire)
                    && sink.queue.try_send((self.bus.life, message.clone())).is_err()
                {
                    sink.lost.store(true, Ordering::Release);
                }
            }
        }
    }

    fn name_owner_changed(&self, message: &Message, header: &Header<'_>) {
        if header.member().is_none_or(|member| member.as_str() != "NameOwnerChanged") {
            return;
        }
        let body = message.body();
        if let Ok((BUS_NAME, _, owner)) = body.deserialize::<(&str, &str, &str)>() {
            self.routes.owner(&self.bus, owner, message.recv_position());
        }
    }

    async fn method_call(&self, message: Message) {
        let header = message.header();
        let interface = header.interface().map_or("", |interface| interface.as_str());
        let member = header.member().map_or("", |member| member.as_str());
        let answer = match (interface, member) {
            (PROVIDER_DELEGATE | AGENT, _) => self.object_call(&message, &header).map(|()| None),
            ("org.freedesktop.DBus.Peer", "Ping") => Ok(None),
            ("org.freedesktop.DBus.Introspectable", "Introspect") => {
                Ok(Some(self.describe(&header)))
            }
            _ => Err(("org.freedesktop.DBus.Error.UnknownMethod", "there is no such method here")),
        };
        if header.primary().flags().contains(Flags::NO_REPLY_EXPECTED) {
            return;
        }
        let sent = match answer {
            Ok(None) => self.bus.connection.reply(&header, &()).await,
            Ok(Some(text)) => self.bus.connection.reply(&header, &text).await,
            Err((name, text)) => self.bus.connection.reply_error(&header, name, &text).await,
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "a reply could not be sent");
        }
    }

    fn object_call(
        &self,
        message: &Message,
        header: &Header<'_>,
    ) -> Result<(), (&'static str, &'static str)> {
        let sender = header.sender().map_or("", |sender| sender.as_str());
        if !self.routes.is_arbiter(self.bus.life, sender) {
            tracing::warn!(sender, "refused a call that is not from the call arbiter");
            return Err((
                "org.freedesktop.DBus.Error.AccessDenied",
                "only the owner of org.callarbiter.Calls1 may call this object",
            ));
        }
        let path = header.path().map_or("", |path| path.as_str());
        match self.routes.table().objects.get(path) {
            Some(object) if object.send(message.clone()).is_ok() => Ok(()),
            _ => Err((
                "org.freedesktop.DBus.Error.UnknownObject",
                "nothing is registered at this path",
            )),
        }
    }

    fn describe(&self, header: &Header<'_>) -> String {
        let path = header.path().map_or("", |path| path.as_str());
        match self.routes.table().objects.contains_key(path) {
            true if path.starts_with(AGENTS) => callarbiter_dbus::xml::AGENT.to_owned(),
            true => callarbiter_dbus::xml::PROVIDER_DELEGATE.to_owned(),
            false => "<node/>".to_owned(),
        }
    }
}
