//! What the arbiter asks of this agent: the object `org.callarbiter.Calls1.Agent`, and the answers.
//!
//! Owns reading the arbiter's calls and that nobody else is obeyed: they count only from the connection that gave
//! the roles, or that has the arbiter's name since. What is to be done the parts know; one that is busy holds up nobody else.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use callarbiter::words::Role;
use callarbiter_dbus::{
    AgentAnswer, Dict, ErrorKind, ErrorName, Fields, Record,
    limits::MESSAGE_BYTES,
    names::{AGENT, BUS_NAME, MANAGER, ROOT_PATH},
};
use futures_util::StreamExt;
use tokio::sync::{Mutex, mpsc, watch};
use tracing::{debug, warn};
use zbus::{
    Connection, Message, MessageStream,
    fdo::DBusProxy,
    message::{Flags, Type},
    names::{OwnedUniqueName, UniqueName, WellKnownName},
};

/// Where the object is.
pub const PATH: &str = "/org/callarbiter/Agent";

/// Orders that wait for one part; the arbiter has fewer open at a time, and a deadline for each.
const WAITING: usize = 64;

/// How long an order that says nothing of it may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// One order.
#[derive(Debug)]
pub struct Order<T> {
    pub what: T,
    pub reply: Reply,
}

/// Orders of one kind, for the part that carries them out, each time that it works.
#[derive(Debug)]
pub struct Inbox<T>(Arc<Mutex<mpsc::Receiver<Order<T>>>>);

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Inbox(self.0.clone())
    }
}

impl<T> Inbox<T> {
    /// The next one; none when nobody hands out orders any more. Loses nothing if dropped.
    pub async fn recv(&mut self) -> Option<Order<T>> {
        self.0.lock().await.recv().await
    }
}

/// What the arbiter says of a role.
#[derive(Debug)]
pub enum Word {
    /// Another agent took it.
    Lost(Role),
    /// That one is gone, and nobody has it.
    Free(Role),
}

/// `ApplyAudio`: the whole state that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplyAudio {
    pub generation: u64,
    /// An entry for each provider with live calls.
    pub apps: Vec<Dict>,
}

/// `SelectEndpoint`: the user wants the sound of calls to go there.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectEndpoint {
    pub endpoint: String,
}

/// `RequestConsent`: may this app provide calls?
#[derive(Clone, Debug, PartialEq)]
pub struct RequestConsent {
    pub app_id: String,
    pub options: Dict,
}

/// `LaunchProvider`: start this app, so that it registers.
#[derive(Clone, PartialEq)]
pub struct LaunchProvider {
    pub app_id: String,
    pub handle: String,
}

/// `Identify`: who is this process?
#[derive(Clone, Debug, PartialEq)]
pub struct Identify {
    pub pid: u32,
    pub declared: String,
}

/// `LookUp`: whose address is it?
#[derive(Clone, PartialEq)]
pub struct LookUp {
    pub handle: String,
}

/// `Screen`: may this call reach the user?
#[derive(Clone, PartialEq)]
pub struct Screen {
    pub handle: String,
    pub app_id: String,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for LaunchProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaunchProvider").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for LookUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookUp").finish_non_exhaustive()
    }
}

/// Where the answer goes.
#[derive(Debug)]
pub struct Reply {
    connection: Connection,
    request: String,
    /// How long the arbiter waits for the first answer, and until when that is.
    within: Duration,
    until: Instant,
}

impl Reply {
    /// Whether nobody waits any more.
    pub fn is_late(&self) -> bool {
        self.until <= Instant::now()
    }

    /// How long the arbiter waits, from when it asked.
    pub fn within(&self) -> Duration {
        self.within
    }

    /// It was done; what came of it.
    pub async fn send(&self, answer: Dict) {
        let call = Message::method_call(ROOT_PATH, "AgentReply").interface(MANAGER);
        let call = call.destination(BUS_NAME).with_flags(Flags::NO_REPLY_EXPECTED);
        let sent = match call.build(&(&self.request, answer)) {
            Ok(message) => self.connection.send(&message).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            warn!(%error, "the arbiter was not answered");
        }
    }

    /// It could not be done.
    pub async fn fail(self, error: ErrorKind, message: String) {
        let message = sentence(&message);
        let error = ErrorName::from(error);
        self.send(AgentAnswer::failed(error.as_str(), &message).to_dict()).await;
    }
}

/// As it travels to the arbiter: on one line, and of one that is too long the end is cut off.
pub fn sentence(text: &str) -> String {
    let mut sentence = text.replace(char::is_control, " ");
    while sentence.len() > MESSAGE_BYTES {
        sentence.pop();
    }
    sentence
}

/// Who gets what; a part that is not there gets nothing.
#[derive(Default)]
pub struct Orders {
    apply_audio: Option<mpsc::Sender<Order<ApplyAudio>>>,
    select_endpoint: Option<mpsc::Sender<Order<SelectEndpoint>>>,
    request_consent: Option<mpsc::Sender<Order<RequestConsent>>>,
    launch_provider: Option<mpsc::Sender<Order<LaunchProvider>>>,
    identify: Option<mpsc::Sender<Order<Identify>>>,
    look_up: Option<mpsc::Sender<Order<LookUp>>>,
    record: Option<mpsc::Sender<Order<Record>>>,
    screen: Option<mpsc::Sender<Order<Screen>>>,
}

impl Orders {
    pub fn apply_audio(&mut self) -> Inbox<ApplyAudio> {
        inbox(&mut self.apply_audio)
    }

    pub fn select_endpoint(&mut self) -> Inbox<SelectEndpoint> {
        inbox(&mut self.select_endpoint)
    }

    pub fn request_consent(&mut self) -> Inbox<RequestConsent> {
        inbox(&mut self.request_consent)
    }

    pub fn launch_provider(&mut self) -> Inbox<LaunchProvider> {
        inbox(&mut self.launch_provider)
    }

    pub fn identify(&mut self) -> Inbox<Identify> {
        inbox(&mut self.identify)
    }

    pub fn look_up(&mut self) -> Inbox<LookUp> {
        inbox(&mut self.look_up)
    }

    pub fn record(&mut self) -> Inbox<Record> {
        inbox(&mut self.record)
    }

    pub fn screen(&mut self) -> Inbox<Screen> {
        inbox(&mut self.screen)
    }

    /// Hands out the arbiter's orders until the bus is gone. `arbiter`: who gave the roles; `hear`: what is said of
    /// those.
    pub async fn serve(
        self,
        connection: Connection,
        mut arbiter: watch::Receiver<Giver>,
        hear: impl Fn(Word),
    ) {
        let mut messages = MessageStream::from(&connection);
        while let Some(message) = messages.next().await {
            let Ok(message) = message else { continue };
            let header = message.header();
            let (Some(interface), Some(member), Some(sender)) =
                (header.interface(), header.member(), header.sender())
            else {
                continue;
            };
            let is_order = header.message_type() == Type::MethodCall && interface.as_str() == AGENT;
            let of_role = match member.as_str() {
                "RoleLost" => Some(Word::Lost as fn(Role) -> Word),
                "RoleFree" => Some(Word::Free as fn(Role) -> Word),
                _ => None,
            };
            let is_signal = header.message_type() == Type::Signal && interface.as_str() == MANAGER;
            let word = of_role.filter(|_| is_signal);
            if !is_order && word.is_none() {
                continue;
            }
            // The answer that gives the roles is here already, whoever waits for it may not have looked.
            let known = arbiter.wait_for(|giver| !matches!(giver, Giver::Asked)).await;
            let gave = known.is_ok_and(
                |giver| matches!(&*giver, Giver::Gave(name) if name.as_str() == sender.as_str()),
            );
            // An arbiter that was restarted remembers who has which role, and does not wait to be asked for it.
            if !gave && !serves_as_arbiter(&connection, sender).await {
                debug!(%sender, %member, "not the arbiter's word");
            } else if let Some(word) = word {
                if let Ok(role) = message.body().deserialize::<String>() {
                    hear(word(Role::from(role.as_str())));
                }
            } else if let Err(error) = self.hand_out(&connection, member.as_str(), &message) {
                warn!(%error, %member, "the arbiter's order cannot be read");
            }
        }
    }

    fn hand_out(
        &self,
        connection: &Connection,
        member: &str,
        message: &Message,
    ) -> zbus::Result<()> {
        let body = message.body();
        let reply = |request: String, options: &Dict| {
            let until = Fields::trusted(options).number("deadline").ok().flatten();
            let within = until.map_or(DEADLINE, |ms| Duration::from_millis(ms.into()));
            let until = Instant::now() + within;
            Reply { connection: connection.clone(), request, within, until }
        };
        match member {
            "ApplyAudio" => {
                let (request, generation, apps, options) =
                    body.deserialize::<(String, u64, Vec<Dict>, Dict)>()?;
                put(&self.apply_audio, ApplyAudio { generation, apps }, reply(request, &options));
            }
            "SelectEndpoint" => {
                let (request, endpoint, options) = body.deserialize::<(String, String, Dict)>()?;
                put(&self.select_endpoint, SelectEndpoint { endpoint }, reply(request, &options));
            }
            "RequestConsent" => {
                let (request, app_id, options) = body.deserialize::<(String, String, Dict)>()?;
                let reply = reply(request, &options);
                put(&self.request_consent, RequestConsent { app_id, options }, reply);
            }
            "LaunchProvider" => {
                let (request, app_id, handle, options) =
                    body.deserialize::<(String, String, String, Dict)>()?;
                put(
                    &self.launch_provider,
                    LaunchProvider { app_id, handle },
                    reply(request, &options),
                );
            }
            "Identify" => {
                let (request, pid, options) = body.deserialize::<(String, u32, Dict)>()?;
                let declared = Fields::trusted(&options).any_text("declared").ok().flatten();
                let declared = declared.unwrap_or_default().to_owned();
                put(&self.identify, Identify { pid, declared }, reply(request, &options));
            }
            "LookUp" => {
                let (request, handle, options) = body.deserialize::<(String, String, Dict)>()?;
                put(&self.look_up, LookUp { handle }, reply(request, &options));
            }
            "Screen" => {
                let (request, handle, options) = body.deserialize::<(String, String, Dict)>()?;
                let app_id = Fields::trusted(&options).any_text("app-id").ok().flatten();
                let app_id = app_id.unwrap_or_default().to_owned();
                put(&self.screen, Screen { handle, app_id }, reply(request, &options));
            }
            "Record" => {
                let (request, record, options) = body.deserialize::<(String, Dict, Dict)>()?;
                match Record::from_dict(&record) {
                    Ok(record) => put(&self.record, record, reply(request, &options)),
                    Err(error) => warn!("a record cannot be read: {:?}", error.name),
                }
            }
            // Of a later version; it has a deadline.
            _ => debug!(member, "an order that is not known here"),
        }
        Ok(())
    }
}

/// Whether this connection has the arbiter's name, as the bus says.
async fn serves_as_arbiter(connection: &Connection, sender: &UniqueName<'_>) -> bool {
    let Ok(bus) = DBusProxy::new(connection).await else { return false };
    let owner = bus.get_name_owner(WellKnownName::from_static_str_unchecked(BUS_NAME).into()).await;
    owner.is_ok_and(|owner| owner.as_str() == sender.as_str())
}

/// Who gave the roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Giver {
    /// Nobody yet.
    #[default]
    Nobody,
    /// They were asked for.
    Asked,
    /// This connection.
    Gave(OwnedUniqueName),
}

fn inbox<T>(sender: &mut Option<mpsc::Sender<Order<T>>>) -> Inbox<T> {
    let (new, inbox) = mpsc::channel(WAITING);
    *sender = Some(new);
    Inbox(Arc::new(Mutex::new(inbox)))
}

fn put<T>(sender: &Option<mpsc::Sender<Order<T>>>, what: T, reply: Reply) {
    let sent = sender.as_ref().map(|sender| sender.try_send(Order { what, reply }));
    if !matches!(sent, Some(Ok(()))) {
        // It has a deadline.
        warn!("a part of this agent does not keep up with the arbiter's orders");
    }
}
