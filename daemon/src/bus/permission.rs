//! What an app behind a wall may do beyond its own calls, where the configuration does not say so: the
//! administrator's polkit rules do.
//!
//! Owns the questions to polkit: each connection is asked about once, and no person is (polkit would show
//! a dialog). An error, an absent and a silent polkit all mean no. What the connection sent meanwhile
//! waits in [`super::peers`], nothing else does. The bus delivers a reply only from whom it was asked for,
//! so its serial is proof enough.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU32,
    sync::Arc,
};

use callarbiter_core::{Millis, Time};
use tracing::{debug, error, warn};
use zbus::{Message, Variant, message::Type, names::OwnedUniqueName};

use super::{
    admission,
    numbers::ByNumber,
    permits::{Granted, Permission},
};

/// What `systemd/org.callarbiter.policy` declares.
fn action(what: Permission) -> &'static str {
    match what {
        Permission::Control => "org.callarbiter.control",
        Permission::PlaceCall => "org.callarbiter.place-call",
    }
}

/// `CheckAuthorization` without `AllowUserInteraction`.
const NO_INTERACTION: u32 = 0;

/// How long polkit may take: long enough for the bus to start it, short enough for an app behind a wall to
/// report a call before the caller gives up, whatever became of polkit.
const PATIENCE: Millis = Millis::secs(5);

/// What polkit said of a connection.
#[derive(Debug)]
pub struct Decision {
    /// The connection.
    pub name: OwnedUniqueName,
    /// What it may do.
    pub granted: Granted,
}

/// What comes of an answer.
#[derive(Debug)]
pub enum Answered {
    /// The next question about the same connection, to be sent.
    More(Message),
    /// Nothing more is asked about it.
    Decided(Decision),
}

/// A connection that is asked about.
struct Subject {
    name: OwnedUniqueName,
    app: Option<Arc<str>>,
    granted: Granted,
    asked: Permission,
}

/// The questions that are not answered yet.
#[derive(Default)]
pub struct Permissions {
    open: ByNumber<NonZeroU32, Subject>,
    queued: VecDeque<Subject>,
    /// Who waits, queued or open, and until when: the first one first.
    waiting: VecDeque<(Time, OwnedUniqueName)>,
}

impl Permissions {
    /// A connection is to be asked about.
    pub fn ask(&mut self, now: Time, name: OwnedUniqueName, app: Option<Arc<str>>) {
        self.waiting.push_back((now + PATIENCE, name.clone()));
        let granted = Granted::default();
        self.queued.push_back(Subject { name, app, granted, asked: Permission::Control });
    }

    /// The next question, if one may be sent now.
    pub fn next_question(&mut self) -> Option<Message> {
        if self.open.len() >= admission::PERMISSION_QUESTIONS {
            return None;
        }
        let subject = self.queued.pop_front()?;
        self.question(subject)
    }

    fn question(&mut self, subject: Subject) -> Option<Message> {
        let action = action(subject.asked);
        let question = question(&subject.name, subject.app.as_ref(), action)
            .inspect_err(|error| error!(%error, "polkit cannot be asked about a connection"))
            .ok()?;
        self.open.insert(question.primary_header().serial_num(), subject);
        Some(question)
    }

    /// A reply or an error; `None` if it was not to one of these questions.
    pub fn answered(&mut self, question: NonZeroU32, answer: &Message) -> Option<Answered> {
        let mut subject = self.open.remove(&question)?;
        if granted(answer) {
            subject.granted.add(subject.asked);
        }
        let next = Permission::ALL.iter().skip_while(|what| **what != subject.asked).nth(1);
        let waits = self.waiting.iter().any(|(_, waiting)| *waiting == subject.name);
        let (name, granted) = (subject.name.clone(), subject.granted);
        if let Some(next) = next.filter(|_| waits) {
            subject.asked = *next;
            if let Some(question) = self.question(subject) {
                return Some(Answered::More(question));
            }
        }
        self.waiting.retain(|(_, waiting)| *waiting != name);
        Some(Answered::Decided(Decision { name, granted }))
    }

    /// Those who have waited long enough.
    pub fn expired(&mut self, now: Time) -> Vec<OwnedUniqueName> {
        let mut late = Vec::new();
        while self.waiting.front().is_some_and(|(until, _)| *until <= now) {
            late.extend(self.waiting.pop_front().map(|(_, name)| name));
        }
        if !late.is_empty() {
            self.queued.retain(|queued| !late.contains(&queued.name));
            warn!(connections = late.len(), "polkit does not answer, so it grants nothing");
        }
        late
    }

    /// When the first has waited long enough.
    pub fn next_deadline(&self) -> Option<Time> {
        self.waiting.front().map(|(until, _)| *until)
    }

    /// A connection left. A question that is open stays so for the bus, too.
    pub fn left(&mut self, name: &str) {
        self.queued.retain(|queued| queued.name.as_str() != name);
        self.waiting.retain(|(_, waiting)| waiting.as_str() != name);
    }
}

/// What polkit is asked about a connection of an app, if that is known.
pub fn question(
    name: &OwnedUniqueName,
    app: Option<&Arc<str>>,
    action: &str,
) -> zbus::Result<Message> {
    let name = HashMap::from([("name", Variant::from(name.as_str()))]);
    // For rules about single apps.
    let details: HashMap<&str, &str> = app.iter().map(|app| ("app-id", &***app)).collect();
    let never_cancelled = "";
    Message::method_call("/org/freedesktop/PolicyKit1/Authority", "CheckAuthorization")
        .destination("org.freedesktop.PolicyKit1")
        .interface("org.freedesktop.PolicyKit1.Authority")
        .build(&(("system-bus-name", name), action, details, NO_INTERACTION, never_cancelled))
}

fn granted(answer: &Message) -> bool {
    matches!(decision(answer), Some((true, _)))
}

/// Whether it is authorized, and else whether it would be if somebody proved who they are; none of an error.
pub fn decision(answer: &Message) -> Option<(bool, bool)> {
    if answer.message_type() != Type::MethodReturn {
        // Ordinary where there is no polkit.
        debug!(error = ?answer.header().error_name(), "polkit says nothing");
        return None;
    }
    let body = answer.body();
    let (authorized, challenge, _): (bool, bool, HashMap<String, String>) =
        body.deserialize().ok()?;
    Some((authorized, challenge))
}
