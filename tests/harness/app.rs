//! An app with calls of its own and a mood: what is so in its network it knows itself, and what it says of it
//! depends.
//!
//! Owns the app's side of the contract, one message after the other, when it is told to go on; and what must be
//! true of what it is asked, over its own deaths and the daemon's.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, ensure};
use serde::Serialize;
use zbus::message::{Flags, Type};
use zbus::{DynamicType, Message, ObjectPath, OwnedObjectPath, OwnedVariant, Structure, Variant};

use crate::{Bus, NAME, Options, Peer, ROOT, Refused, interface, options};

/// How an app answers what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It does it and says so.
    Obeys,
    /// It says that it does not.
    Refuses,
    /// It does nothing and says nothing.
    Hangs,
    /// It does it and says nothing.
    Forgets,
    /// It says everything twice.
    Stutters,
    /// It answers when it is told to, the oldest first.
    Waits,
    /// The newest first.
    Shuffles,
    /// It says that it was done, and it was not.
    Lies,
    /// It asks for more time first.
    Dawdles,
}

/// What an app says to `Reconcile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// What is so.
    Truth,
    /// What the arbiter remembers.
    Echo,
    /// It has no calls any more.
    Nothing,
    /// Everything is active.
    Nonsense,
}

/// An app on the bus.
pub struct App {
    /// Its app id.
    pub id: String,
    /// Its connection, while it lives.
    pub peer: Option<Peer>,
    /// Its object in the arbiter.
    pub path: String,
    /// What is so.
    pub calls: BTreeMap<String, &'static str>,
    /// How it answers.
    pub mood: Mood,
    /// What it says after a restart.
    pub memory: Memory,
    /// The generation of the audio that it was told to have.
    pub audio: Option<u64>,
    /// How often it was asked for anything.
    pub requests: usize,
    /// A connection on which it tried to register, and whose arbiter was killed meanwhile.
    arriving: Option<Peer>,
    read: usize,
    kept: Vec<Ask>,
    /// What each request was, for ever.
    asked: BTreeMap<String, Ask>,
    last: Option<Ask>,
}

#[derive(Clone, Debug, PartialEq)]
struct Ask {
    member: String,
    request: String,
    /// What it is about, as text, without what changes when it is sent again.
    about: String,
    uuid: String,
    held: bool,
    generation: u64,
    calls: Option<Claims>,
}

type Claims = HashMap<String, HashMap<String, String>>;

impl App {
    /// One that is not there yet.
    pub fn new(id: &str) -> App {
        App {
            id: id.to_owned(),
            peer: None,
            path: String::new(),
            calls: BTreeMap::new(),
            mood: Mood::Obeys,
            memory: Memory::Truth,
            audio: None,
            requests: 0,
            arriving: None,
            read: 0,
            kept: Vec::new(),
            asked: BTreeMap::new(),
            last: None,
        }
    }

    /// Connects and registers; after an interruption, on the same connection.
    pub async fn revive(&mut self, bus: &Bus) -> Result<(), Refused> {
        let failed =
            |error: anyhow::Error| Refused { name: "none".into(), message: error.to_string() };
        let peer = match self.arriving.take() {
            Some(peer) => peer,
            None => bus.connect().await.map_err(failed)?,
        };
        let schemes = vec!["sip".to_owned(), "tel".to_owned()];
        let configuration = options([("supported-schemes", schemes.into())]);
        let delegate = ObjectPath::from_static_str_unchecked("/delegate");
        let registration = (&*self.id, delegate, configuration);
        let registered: Result<(OwnedObjectPath, HashMap<String, OwnedVariant>), Refused> =
            peer.call(ROOT, "Manager", "RegisterProvider", &registration).await;
        if registered.as_ref().is_err_and(Refused::is_interruption) {
            self.arriving = Some(peer);
            return registered.map(drop);
        }
        let (path, _) = registered?;
        (self.peer, self.path, self.read) = (Some(peer), path.to_string(), 0);
        Ok(())
    }

    /// Its connection is gone; its network goes on.
    pub fn die(&mut self) {
        self.peer = None;
        self.audio = None;
        self.kept.clear();
    }

    /// Everything that it was sent up to now is there.
    pub async fn catch_up(&self) -> Result<()> {
        if let Some(peer) = &self.peer {
            peer.property(ROOT, "Manager", "Version").await?;
        }
        Ok(())
    }

    /// Takes what it was sent; how much of it there was.
    pub async fn work(&mut self) -> Result<usize> {
        let Some(peer) = &self.peer else { return Ok(0) };
        let new = peer.received().split_off(self.read);
        self.read += new.len();
        let delegate = interface("ProviderDelegate");
        let is_ask = |message: &&Message| {
            message.message_type() == Type::MethodCall
                && message.header().interface().is_some_and(|of| of.as_str() == delegate)
        };
        let asks: Vec<Ask> = new.iter().filter(is_ask).map(read).collect::<Result<_>>()?;
        for ask in &asks {
            self.hear(ask).await?;
        }
        Ok(asks.len())
    }

    async fn hear(&mut self, ask: &Ask) -> Result<()> {
        if matches!(&*ask.member, "ActionTimedOut" | "AuthorizationSet" | "Reset") {
            return Ok(());
        }
        self.requests += 1;
        let before = self.asked.insert(ask.request.clone(), ask.clone());
        let same = before.as_ref().is_none_or(|b| b.member == ask.member && b.about == ask.about);
        ensure!(same, "one number for two things: {before:?} and {ask:?}");
        match &*ask.member {
            "AudioActivated" => {
                ensure!(ask.generation > 0, "a grant without a number: {ask:?}");
                self.audio = Some(ask.generation);
            }
            "AudioDeactivated" => self.audio = None,
            _ => {}
        }
        self.last = Some(ask.clone());
        match self.mood {
            Mood::Obeys => {
                self.perform(ask);
                self.fulfil(ask).await
            }
            Mood::Refuses if ask.member.starts_with("Perform") => self.fail(ask).await,
            Mood::Refuses => self.fulfil(ask).await,
            Mood::Hangs => Ok(()),
            Mood::Forgets => {
                self.perform(ask);
                Ok(())
            }
            Mood::Stutters => {
                self.perform(ask);
                self.fulfil(ask).await?;
                self.fulfil(ask).await
            }
            Mood::Waits | Mood::Shuffles => {
                self.kept.push(ask.clone());
                Ok(())
            }
            Mood::Lies => self.fulfil(ask).await,
            Mood::Dawdles => {
                self.tell("Progress", &(&*ask.request, 100u32)).await?;
                self.perform(ask);
                self.fulfil(ask).await
            }
        }
    }

    /// Everything it was ever asked to perform, each request once, in an order of no meaning.
    pub fn performed(&self) -> Vec<String> {
        let performs = self.asked.values().filter(|ask| ask.member.starts_with("Perform"));
        let mut all: Vec<_> = performs.map(|ask| format!("{} {}", ask.member, ask.about)).collect();
        all.sort();
        all
    }

    /// Answers what it has kept.
    pub async fn answer(&mut self) -> Result<()> {
        let mut kept = std::mem::take(&mut self.kept);
        if self.mood == Mood::Shuffles {
            kept.reverse();
        }
        for ask in kept {
            self.perform(&ask);
            self.fulfil(&ask).await?;
        }
        Ok(())
    }

    /// Answers again what it was asked last.
    pub async fn repeat(&mut self) -> Result<()> {
        match self.last.clone() {
            Some(ask) => self.fulfil(&ask).await,
            None => Ok(()),
        }
    }

    fn perform(&mut self, ask: &Ask) {
        let state = match &*ask.member {
            "PerformStart" => "dialing",
            "PerformAnswer" => "active",
            "PerformSetHeld" if ask.held => "held",
            "PerformSetHeld" => "active",
            "PerformEnd" => {
                self.calls.remove(&ask.uuid);
                return;
            }
            _ => return,
        };
        self.calls.insert(ask.uuid.clone(), state);
    }

    async fn fulfil(&mut self, ask: &Ask) -> Result<()> {
        let mut results = Options::new();
        if let Some(claims) = &ask.calls {
            results.insert("calls", self.claims(claims));
        }
        self.tell("Fulfil", &(&*ask.request, results)).await
    }

    fn claims(&self, remembered: &Claims) -> Variant<'static> {
        let so = |state: &str| HashMap::from([("state", Variant::from(state.to_owned()))]);
        let claims: HashMap<String, HashMap<&str, Variant<'static>>> = match self.memory {
            Memory::Truth => self.calls.iter().map(|(uuid, s)| (uuid.clone(), so(s))).collect(),
            Memory::Echo => remembered
                .iter()
                .filter_map(|(uuid, call)| Some((uuid.clone(), so(call.get("state")?))))
                .collect(),
            Memory::Nothing => HashMap::new(),
            Memory::Nonsense => {
                remembered.keys().map(|uuid| (uuid.clone(), so("active"))).collect()
            }
        };
        Variant::from(claims)
    }

    async fn fail(&mut self, ask: &Ask) -> Result<()> {
        self.tell("Fail", &(&*ask.request, "org.example.Error.No", "it did not work")).await
    }

    /// Says something without waiting for the reply.
    pub async fn tell<B: Serialize + DynamicType>(&self, member: &str, body: &B) -> Result<()> {
        let Some(peer) = &self.peer else { return Ok(()) };
        let message = Message::method_call(&*self.path, member)
            .destination(NAME)
            .interface(interface("Provider"))
            .with_flags(Flags::NO_REPLY_EXPECTED)
            .build(body)?;
        Ok(peer.connection.send(&message).await?)
    }
}

fn read(message: &Message) -> Result<Ask> {
    let header = message.header();
    let member = header.member().map(|member| member.to_string()).unwrap_or_default();
    let body = message.body();
    let arguments = body.deserialize::<Structure<'_>>().ok();
    let fields = arguments.as_ref().map_or(&[][..], |a| a.fields());
    let text = |at: usize| match fields.get(at) {
        Some(Variant::Str(text)) => text.to_string(),
        _ => String::new(),
    };
    let generation = match fields.get(2) {
        Some(Variant::U64(generation)) => *generation,
        _ => 0,
    };
    let held = matches!(fields.get(2), Some(Variant::Bool(true)));
    let options = |field: &&Variant<'_>| !matches!(field, Variant::Dict(_));
    let about = fields.iter().skip(1).filter(options).map(|field| format!("{field:?} ")).collect();
    let calls = (member == "Reconcile").then(|| claims_of(message)).transpose()?;
    Ok(Ask { request: text(0), uuid: text(1), about, held, generation, calls, member })
}

/// What the arbiter remembers.
fn claims_of(message: &Message) -> Result<Claims> {
    let (_, calls): (String, HashMap<String, HashMap<String, OwnedVariant>>) =
        message.body().deserialize()?;
    let text = |(key, value): (String, OwnedVariant)| Some((key, String::try_from(value).ok()?));
    let texts = |call: HashMap<String, OwnedVariant>| call.into_iter().filter_map(text).collect();
    Ok(calls.into_iter().map(|(uuid, call)| (uuid, texts(call))).collect())
}
