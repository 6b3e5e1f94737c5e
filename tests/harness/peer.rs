//! A connection to a bus that keeps what it receives; raw D-Bus in few words.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::message::Type;
use zbus::{Connection, DBusError, DynamicType, Message, MessageStream, OwnedVariant, Variant};

use crate::{NAME, PATIENCE, Process, ROOT, interface};

/// An `a{sv}` to send.
pub type Options = HashMap<&'static str, Variant<'static>>;
/// An action of a transaction.
pub type Action = (&'static str, Options);
/// Objects by path, interface and property.
pub type Objects = BTreeMap<String, BTreeMap<String, BTreeMap<String, OwnedVariant>>>;

/// `options([("wait", true.into())])`.
pub fn options<const N: usize>(entries: [(&'static str, Variant<'static>); N]) -> Options {
    HashMap::from(entries)
}

/// `action("Answer", [("call", id.into())])`.
pub fn action<const N: usize>(
    name: &'static str,
    entries: [(&'static str, Variant<'static>); N],
) -> Action {
    (name, options(entries))
}

/// A D-Bus error that came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct Refused {
    /// Its full name.
    pub name: String,
    /// Its sentence.
    pub message: String,
}

impl Refused {
    /// The arbiter's errors without their common prefix, others in full.
    pub fn short(&self) -> &str {
        self.name.strip_prefix(crate::ERROR).unwrap_or(&self.name)
    }

    /// What the bus says of a daemon that was killed.
    pub fn is_interruption(&self) -> bool {
        let killed = ["NoReply", "ServiceUnknown", "NameHasNoOwner"];
        killed.iter().any(|name| self.name == format!("org.freedesktop.DBus.Error.{name}"))
    }
}

/// What one user can see, with the revision that it is of.
#[derive(Debug, PartialEq)]
pub struct View {
    /// The domain's revision.
    pub revision: u64,
    /// All objects, the root's included.
    pub objects: Objects,
}

impl View {
    /// What is not as it was, a line each: short enough to read when a test fails.
    pub fn changes(&self, before: &View) -> Vec<String> {
        let (was, is) = (before.lines(), self.lines());
        let gone = was.difference(&is).map(|line| format!("- {line}"));
        gone.chain(is.difference(&was).map(|line| format!("+ {line}"))).collect()
    }

    fn lines(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::from([format!("revision {}", self.revision)]);
        for (path, interfaces) in &self.objects {
            lines.insert(path.clone());
            for (name, value) in interfaces.values().flatten() {
                lines
                    .insert(format!("{path} {name} {}", Variant::from(value.try_clone().unwrap())));
            }
        }
        lines
    }
}

/// A connection with all it received.
pub struct Peer {
    /// For what has no word here.
    pub connection: Connection,
    inbox: Inbox,
    reader: JoinHandle<()>,
    _relay: Option<Process>,
}

impl Peer {
    pub(crate) async fn connect(builder: Builder<'_>, relay: Option<Process>) -> Result<Peer> {
        let connection =
            builder.method_timeout(PATIENCE * 2).build().await.context("connecting")?;
        let inbox = Inbox::new();
        let stream = MessageStream::from(&connection);
        let reader = tokio::spawn(inbox.clone().fill(stream, connection.clone()));
        Ok(Peer { connection, inbox, reader, _relay: relay })
    }

    /// Its unique name.
    pub fn name(&self) -> String {
        self.connection.unique_name().map(|name| name.to_string()).unwrap_or_default()
    }

    /// Calls a method of the arbiter; `short` is the interface without the common prefix.
    pub async fn call<B, R>(
        &self,
        path: &str,
        short: &str,
        member: &str,
        body: &B,
    ) -> Result<R, Refused>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + zbus::Type,
    {
        self.call_at(NAME, path, &interface(short), member, body).await
    }

    /// Calls any method of anybody.
    pub async fn call_at<B, R>(
        &self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Result<R, Refused>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + zbus::Type,
    {
        let reply = self
            .connection
            .call_method(Some(destination), path, Some(interface), member, body)
            .await
            .map_err(refused)?;
        reply.body().deserialize().map_err(refused)
    }

    /// Who owns a name.
    pub async fn owner(&self, name: &str) -> Result<Option<String>, Refused> {
        let owner = self.bus("GetNameOwner", &name).await;
        match owner {
            Ok(owner) => Ok(Some(owner)),
            Err(no) if no.name == "org.freedesktop.DBus.Error.NameHasNoOwner" => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Calls the bus itself.
    pub async fn bus<B, R>(&self, member: &str, body: &B) -> Result<R, Refused>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + zbus::Type,
    {
        let bus = "org.freedesktop.DBus";
        self.call_at(bus, "/org/freedesktop/DBus", bus, member, body).await
    }

    /// Subscribes, and returns all that this peer may see.
    pub async fn view(&self) -> Result<View, Refused> {
        let none = Options::new();
        let (revision, objects): (u64, HashMap<zbus::OwnedObjectPath, _>) =
            self.call(ROOT, "Manager", "Subscribe", &none).await?;
        let objects = objects.into_iter().map(|(path, o)| (path.to_string(), o)).collect();
        Ok(View { revision, objects })
    }

    /// Reads one property of an object of the arbiter.
    pub async fn property(
        &self,
        path: &str,
        short: &str,
        name: &str,
    ) -> Result<OwnedVariant, Refused> {
        let properties = "org.freedesktop.DBus.Properties";
        self.call_at(NAME, path, properties, "Get", &(interface(short), name)).await
    }

    /// The `State` of a call.
    pub async fn state(&self, call: &str) -> Result<String, Refused> {
        let value = self.property(call, "Call", "State").await?;
        String::try_from(value).map_err(refused)
    }

    /// Waits until a call is in this state.
    pub async fn wait_state(&self, call: &str, state: &str) -> Result<()> {
        let what = format!("{call} is {state}");
        crate::eventually(&what, async || (self.state(call).await.ok()? == state).then_some(()))
            .await
    }

    /// Waits until the audio session is in this phase: answering a call does not wait for its audio.
    pub async fn wait_audio(&self, phase: &str) -> Result<()> {
        crate::eventually(&format!("the audio session is {phase}"), async || {
            let value = self.property(ROOT, "AudioSession", "Phase").await.ok()?;
            (String::try_from(value).ok()? == phase).then_some(())
        })
        .await
    }

    /// Answers a call and waits until that is done.
    pub async fn answer(&self, call: &str) -> Result<(), Refused> {
        self.call(call, "Call", "Answer", &Options::new()).await
    }

    /// Ends a call and waits until that is done.
    pub async fn end(&self, call: &str) -> Result<(), Refused> {
        self.call(call, "Call", "End", &Options::new()).await
    }

    /// Holds a call and waits until that is done.
    pub async fn hold(&self, call: &str) -> Result<(), Refused> {
        self.call(call, "Call", "Hold", &()).await
    }

    /// Resumes a call and waits until that is done.
    pub async fn unhold(&self, call: &str) -> Result<(), Refused> {
        self.call(call, "Call", "Unhold", &()).await
    }

    /// Requests a transaction; the reply is its path.
    pub async fn request(&self, actions: &[Action], how: &Options) -> Result<String, Refused> {
        let path: zbus::OwnedObjectPath =
            self.call(ROOT, "Manager", "RequestTransaction", &(actions, how)).await?;
        Ok(path.to_string())
    }

    /// All signals and calls received so far, in order.
    pub fn received(&self) -> Vec<Message> {
        self.inbox.messages.lock().unwrap().clone()
    }

    /// Waits for a message that came already or comes yet.
    pub async fn expect(&self, what: &str, is: impl Fn(&Message) -> bool) -> Result<Message> {
        let mut reader = self.inbox.reader();
        let found = async {
            loop {
                match reader.next().await {
                    Some(message) if is(&message) => return Some(message),
                    Some(_) => {}
                    None => return None,
                }
            }
        };
        let found = timeout(PATIENCE, found).await;
        found.with_context(|| format!("never received: {what}"))?.context("the bus is gone")
    }

    pub(crate) fn reader(&self) -> InboxReader {
        self.inbox.reader()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Whether a message is this signal or call of the arbiter's: `is(&message, "Call", "Transition")`.
pub fn is(message: &Message, short: &str, member: &str) -> bool {
    let header = message.header();
    header.interface().is_some_and(|i| i.as_str() == interface(short))
        && header.member().is_some_and(|m| m.as_str() == member)
}

/// The name and the sentence of an error reply.
pub fn error(error: &zbus::Error) -> (String, String) {
    let Refused { name, message } = refused(error.clone());
    (name, message)
}

pub(crate) fn refused(error: zbus::Error) -> Refused {
    match error {
        zbus::Error::MethodError(name, message, _) => {
            Refused { name: name.to_string(), message: message.unwrap_or_default() }
        }
        zbus::Error::FDO(error) => Refused {
            name: error.name().to_string(),
            message: error.description().unwrap_or_default().into(),
        },
        other => Refused { name: "not a D-Bus error".into(), message: other.to_string() },
    }
}

/// Signals and calls in the order in which they came.
#[derive(Clone)]
struct Inbox {
    messages: Arc<Mutex<Vec<Message>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Inbox {
    fn new() -> Inbox {
        Inbox { messages: Arc::default(), count: Arc::new(watch::Sender::new(0)) }
    }

    /// A `Ping` is answered at once, as most libraries do.
    async fn fill(self, mut stream: MessageStream, connection: Connection) {
        while let Some(Ok(message)) = stream.next().await {
            let header = message.header();
            let of = header.interface().filter(|_| message.message_type() == Type::MethodCall);
            if of.is_some_and(|of| of.as_str() == "org.freedesktop.DBus.Peer") {
                let _ = connection.reply(&header, &()).await;
            }
            if matches!(message.message_type(), Type::Signal | Type::MethodCall) {
                let mut messages = self.messages.lock().unwrap();
                messages.push(message);
                self.count.send_replace(messages.len());
            }
        }
    }

    fn reader(&self) -> InboxReader {
        InboxReader { messages: self.messages.clone(), count: self.count.subscribe(), at: 0 }
    }
}

/// One reader of an inbox; several may read at their own pace.
pub(crate) struct InboxReader {
    messages: Arc<Mutex<Vec<Message>>>,
    count: watch::Receiver<usize>,
    at: usize,
}

impl InboxReader {
    /// The next message; none when the connection is closed.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        self.count.wait_for(|count| *count > self.at).await.ok()?;
        let message = self.messages.lock().unwrap()[self.at].clone();
        self.at += 1;
        Some(message)
    }
}
