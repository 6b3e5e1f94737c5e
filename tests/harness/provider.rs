//! A provider that does as it is told: answers each request by a script and remembers it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;
use zbus::message::Flags;
use zbus::{Connection, Message, OwnedObjectPath, OwnedVariant, Variant};

use crate::{Bus, NAME, Options, PATIENCE, Peer, ROOT, Refused, interface, options};

/// The path of its delegate object.
const DELEGATE: &str = "/delegate";

/// What it says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Fulfil,
    /// Not done: an error name and a sentence.
    Fail(&'static str, &'static str),
    /// Nothing; the test may answer later by hand.
    Never,
}

/// A request that it got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `PerformAnswer`, `AudioActivated` …
    pub member: String,
    /// To be named in the answer; empty where none is wanted.
    pub request: String,
    /// The whole of it.
    pub message: Message,
}

impl Asked {
    /// The UUID of the call, the second argument of most requests.
    pub fn uuid(&self) -> Option<String> {
        self.argument(1).and_then(|value| String::try_from(value).ok())
    }

    /// Any argument.
    pub fn argument(&self, index: usize) -> Option<OwnedVariant> {
        let body = self.message.body();
        let arguments: zbus::Structure<'_> = body.deserialize().ok()?;
        arguments.fields().get(index)?.try_to_owned().ok()
    }
}

/// A call that it reported.
#[derive(Clone, Debug)]
pub struct Reported {
    /// The UUID that it chose.
    pub uuid: String,
    /// The object that the arbiter made of it.
    pub path: String,
}

/// A provider.
pub struct FakeProvider {
    /// Its connection.
    pub peer: Peer,
    /// Its object in the arbiter.
    pub path: String,
    shared: Arc<Shared>,
    performer: JoinHandle<()>,
}

struct Shared {
    path: String,
    scripts: Mutex<HashMap<String, Reply>>,
    asked: Mutex<Vec<Asked>>,
    count: watch::Sender<usize>,
}

impl FakeProvider {
    /// Registers one of the bus's ordinary user.
    pub async fn register(bus: &Bus, app_id: &str) -> Result<FakeProvider> {
        FakeProvider::on(bus.connect().await?, app_id, &named(app_id)).await
    }

    /// Registers one of another user; needs root.
    pub async fn register_as(bus: &Bus, user: &str, app_id: &str) -> Result<FakeProvider> {
        FakeProvider::on(bus.connect_as(user).await?, app_id, &named(app_id)).await
    }

    /// Registers on this connection with this configuration. Until told otherwise it fulfils all.
    pub async fn on(peer: Peer, app_id: &str, configuration: &Options) -> Result<FakeProvider> {
        let delegate = zbus::ObjectPath::try_from(DELEGATE)?;
        let (path, _state): (OwnedObjectPath, HashMap<String, OwnedVariant>) = peer
            .call(ROOT, "Manager", "RegisterProvider", &(app_id, delegate, configuration))
            .await?;
        let shared = Arc::new(Shared {
            path: path.to_string(),
            scripts: Mutex::default(),
            asked: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let performer =
            tokio::spawn(shared.clone().perform(peer.connection.clone(), peer.reader()));
        Ok(FakeProvider { peer, path: path.to_string(), shared, performer })
    }

    /// What it says to requests of this kind from now on.
    pub fn script(&self, member: &str, reply: Reply) {
        self.shared.scripts.lock().unwrap().insert(member.into(), reply);
    }

    /// All requests so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits for the `nth` request of this kind, counted from 1.
    pub async fn wait_asked(&self, member: &str, nth: usize) -> Result<Asked> {
        let find = || self.asked().into_iter().filter(|a| a.member == member).nth(nth - 1);
        let mut count = self.shared.count.subscribe();
        let asked = async {
            loop {
                count.borrow_and_update();
                if let Some(asked) = find() {
                    return asked;
                }
                if count.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        timeout(PATIENCE, asked)
            .await
            .map_err(|_| anyhow::anyhow!("never asked {member} ({nth}); asked: {:?}", self.kinds()))
    }

    /// Reports an incoming call with a new UUID.
    pub async fn report_incoming(&self, handle: &str) -> Result<Reported> {
        let uuid = Uuid::new_v4().to_string();
        let update = options([("remote-handle", handle.to_owned().into())]);
        let path = self.report_incoming_call(&uuid, &update).await?;
        Ok(Reported { uuid, path })
    }

    /// Reports an incoming call; the reply is its object.
    pub async fn report_incoming_call(
        &self,
        uuid: &str,
        update: &Options,
    ) -> Result<String, Refused> {
        let path: OwnedObjectPath = self.tell("ReportIncomingCall", &(uuid, update)).await?;
        Ok(path.to_string())
    }

    /// Reports an end.
    pub async fn report_ended(&self, uuid: &str, reason: &str) -> Result<(), Refused> {
        self.tell("ReportEnded", &(uuid, reason, Options::new())).await
    }

    /// Says by hand that a request was carried out.
    pub async fn fulfil(&self, request: &str) -> Result<(), Refused> {
        self.tell("Fulfil", &(request, Options::new())).await
    }

    /// Says by hand that a request could not be carried out.
    pub async fn fail(&self, request: &str, error: &str, message: &str) -> Result<(), Refused> {
        self.tell("Fail", &(request, error, message)).await
    }

    /// Calls any method of its own object in the arbiter.
    pub async fn tell<B, R>(&self, member: &str, body: &B) -> Result<R, Refused>
    where
        B: serde::Serialize + zbus::DynamicType,
        R: serde::de::DeserializeOwned + zbus::Type,
    {
        self.peer.call(&self.path, "Provider", member, body).await
    }

    fn kinds(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.member).collect()
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.performer.abort();
    }
}

impl Shared {
    async fn perform(self: Arc<Self>, connection: Connection, mut inbox: crate::peer::InboxReader) {
        while let Some(message) = inbox.next().await {
            let header = message.header();
            let (Some(of), Some(member)) = (header.interface(), header.member()) else { continue };
            if of.as_str() == interface("ProviderDelegate") {
                let asked = Asked {
                    member: member.to_string(),
                    request: request_of(member, &message),
                    message: message.clone(),
                };
                let answer = self.answer(&asked);
                self.remember(asked);
                if let Some(Ok(answer)) = answer {
                    let _ = connection.send(&answer).await;
                }
            }
        }
    }

    fn remember(&self, asked: Asked) {
        let mut all = self.asked.lock().unwrap();
        all.push(asked);
        self.count.send_replace(all.len());
    }

    /// The call that answers a request, if one is wanted and scripted.
    fn answer(&self, asked: &Asked) -> Option<zbus::Result<Message>> {
        if asked.request.is_empty() {
            return None;
        }
        let scripts = self.scripts.lock().unwrap();
        let to_arbiter = |member: &'static str| {
            Message::method_call(self.path.as_str(), member)
                .destination(NAME)
                .interface(interface("Provider"))
                .with_flags(Flags::NO_REPLY_EXPECTED)
        };
        match scripts.get(&asked.member).unwrap_or(&Reply::Fulfil) {
            Reply::Never => None,
            Reply::Fulfil => {
                let results = results_of(asked);
                Some(to_arbiter("Fulfil").build(&(&asked.request, results)))
            }
            Reply::Fail(error, message) => {
                Some(to_arbiter("Fail").build(&(&asked.request, *error, *message)))
            }
        }
    }
}

/// Reconciliation: it still has every call in the state that the arbiter remembers.
fn results_of(asked: &Asked) -> Options {
    if asked.member != "Reconcile" {
        return Options::new();
    }
    match asked.argument(1) {
        Some(calls) => options([("calls", Variant::from(calls))]),
        None => Options::new(),
    }
}

fn request_of(member: &str, message: &Message) -> String {
    let wants_answer = !matches!(member, "ActionTimedOut" | "AuthorizationSet" | "Reset");
    let body = message.body();
    let arguments = body.deserialize::<zbus::Structure<'_>>().ok().filter(|_| wants_answer);
    match arguments.as_ref().and_then(|a| a.fields().first()) {
        Some(Variant::Str(request)) => request.to_string(),
        _ => String::new(),
    }
}

fn named(app_id: &str) -> Options {
    let name = app_id.rsplit('.').next().unwrap_or(app_id).to_owned();
    let schemes = vec!["sip".to_owned(), "tel".to_owned()];
    options([("display-name", name.into()), ("supported-schemes", schemes.into())])
}
