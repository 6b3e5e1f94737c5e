//! What the app and the arbiter said to each other, in the order in which the app saw it.
//!
//! Owns the record and the questions about it. Must not judge, and must not change what is said.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use zbus::{
    Message, OwnedVariant, Structure,
    message::{Header, Type},
};

type Entries = HashMap<String, OwnedVariant>;
type Calls = HashMap<String, Entries>;

pub const CONTRACT: &str = "org.callarbiter.Calls1.";
const ERROR: &str = "org.callarbiter.Calls1.Error.";

/// One message of the contract, or an error that answers one.
#[derive(Clone, Debug)]
pub struct Word {
    pub from_app: bool,
    /// Which of the app's connections.
    pub line: usize,
    /// The method; of an error its short name.
    pub name: String,
    pub serial: u32,
    /// What an error answers.
    pub answers: u32,
    pub arguments: Vec<OwnedVariant>,
    pub message: Message,
}

impl Word {
    pub fn read(from_app: bool, line: usize, message: &Message) -> Option<Word> {
        let header = message.header();
        let (name, answers) = match header.message_type() {
            Type::MethodCall => (method(&header)?, 0),
            Type::Error => {
                let name = header.error_name()?.as_str();
                let short = name.strip_prefix(ERROR).unwrap_or(name).to_owned();
                (short, header.reply_serial().map_or(0, u32::from))
            }
            _ => return None,
        };
        let serial = u32::from(header.primary().serial_num());
        let arguments = arguments(message);
        Some(Word { from_app, line, name, serial, answers, arguments, message: message.clone() })
    }

    pub fn text(&self, index: usize) -> &str {
        match self.arguments.get(index).map(|value| &**value) {
            Some(zbus::Variant::Str(text)) => text.as_str(),
            _ => "",
        }
    }

    /// What an error says.
    pub fn detail(&self) -> String {
        self.message.body().deserialize::<String>().unwrap_or_default()
    }

    /// Whether the app answers this request.
    pub fn is_answer_to(&self, request: &str) -> bool {
        self.from_app && matches!(self.name.as_str(), "Fulfil" | "Fail") && self.text(0) == request
    }

    /// Whether the app reports that this call is over.
    pub fn is_end_of(&self, call: &str) -> bool {
        self.from_app && self.name == "ReportEnded" && self.text(0) == call
    }

    /// Whether it says something about this call by itself, its end excepted.
    pub fn is_report_of(&self, call: &str) -> bool {
        self.is_report() && self.text(0) == call
    }

    pub fn is_report(&self) -> bool {
        const REPORTS: [&str; 4] =
            ["ReportIncomingCall", "ReportCall", "ReportState", "UpdateCall"];
        self.from_app && REPORTS.contains(&self.name.as_str())
    }

    /// The calls that the answer to a `Reconcile` lists.
    pub fn listed(&self) -> Vec<String> {
        let calls = self.entry(1, "calls").and_then(|calls| Calls::try_from(calls).ok());
        calls.into_iter().flatten().map(|(call, _)| call).collect()
    }

    /// As what this call is listed.
    pub fn listed_as(&self, call: &str) -> Option<String> {
        let calls = self.entry(1, "calls").and_then(|calls| Calls::try_from(calls).ok());
        let state = calls?.remove(call)?.remove("state")?;
        String::try_from(state).ok()
    }

    /// One entry of a dictionary.
    pub fn entry(&self, index: usize, key: &str) -> Option<OwnedVariant> {
        match self.arguments.get(index).map(|value| &**value) {
            Some(zbus::Variant::Dict(dict)) => {
                let mut entries = Entries::try_from(dict.try_clone().ok()?).ok()?;
                entries.remove(key)
            }
            _ => None,
        }
    }
}

/// The record, which grows while it is read.
pub struct Said {
    words: Mutex<Vec<Word>>,
    grown: watch::Sender<usize>,
}

impl Said {
    pub fn new() -> Self {
        Said { words: Mutex::default(), grown: watch::Sender::new(0) }
    }

    pub fn add(&self, word: Word) {
        let mut words = self.words();
        words.push(word);
        self.grown.send_replace(words.len());
    }

    /// Where the record ends now.
    pub fn mark(&self) -> usize {
        self.words().len()
    }

    pub fn grown(&self) -> watch::Receiver<usize> {
        self.grown.subscribe()
    }

    /// The first word from there on that is wanted.
    pub fn find(&self, from: usize, wanted: impl Fn(&Word) -> bool) -> Option<Word> {
        self.words().iter().skip(from).find(|word| wanted(word)).cloned()
    }

    pub fn last(&self, wanted: impl Fn(&Word) -> bool) -> Option<Word> {
        self.words().iter().rev().find(|word| wanted(word)).cloned()
    }

    pub fn all(&self) -> Vec<Word> {
        self.words().clone()
    }

    fn words(&self) -> MutexGuard<'_, Vec<Word>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn method(header: &Header<'_>) -> Option<String> {
    let ours = header.interface().is_some_and(|name| name.as_str().starts_with(CONTRACT))
        // Without an interface the object decides.
        || header.interface().is_none()
            && header.path().is_some_and(|path| path.as_str().starts_with("/org/callarbiter/Calls1"));
    ours.then(|| header.member().map(|name| name.as_str().to_owned()))?
}

fn arguments(message: &Message) -> Vec<OwnedVariant> {
    let body = message.body();
    let owned = |value: &zbus::Variant<'_>| value.try_to_owned().ok();
    match body.deserialize::<Structure<'_>>() {
        Ok(arguments) => arguments.fields().iter().filter_map(owned).collect(),
        // One argument is no structure.
        Err(_) => Vec::new(),
    }
}
