//! logind: who sits in front of the machine, and when it sleeps.
//!
//! Owns what is asked of logind and what its words mean to the core: which user has each seat, which users
//! have sessions on it and which are locked, sleep, and the lock that delays it until calls are held. Sends nothing itself and
//! waits for nothing: the router brings messages and takes questions and inputs away. Without logind
//! everybody is in the foreground; one that is slow, or says what nobody understands, changes nothing.

mod seats;
mod sleep;
mod words;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZeroU32,
    sync::Arc,
};

use callarbiter_core::{Input, Millis, Time, Uid};
use tracing::{debug, info, warn};
use zbus::{Message, message::Type};

use seats::Seats;
use sleep::Sleep;
pub use words::NAME;
use words::{ROOT_USER, Signal};

/// How long logind may be away before everybody is in the foreground: its restart, with the package or after
/// a crash, takes a second and moves nobody.
const RESTART: Millis = Millis::secs(10);

/// How long it may take to answer. What it has not said by then is left as it was.
const PATIENCE: Millis = Millis::secs(5);

/// Questions about sessions that may be open: the bus allows 128 to the daemon in all, and polkit's and those
/// to subscribers that do not read are 112.
const QUESTIONS: usize = 8;

/// Sessions that are looked at; a machine for a thousand people has no seat that they share.
const SESSIONS: usize = 1024;

/// What the daemon knows of logind.
pub struct Logind {
    standing: Standing,
    open: HashMap<NonZeroU32, Question>,
    /// Sessions that changed since they were read.
    unread: BTreeSet<String>,
    /// Until when sessions may take to be read; until then nothing is told that is half known.
    reading: Option<Time>,
    seats: Seats,
    sleep: Sleep,
    questions: Vec<Message>,
    inputs: Vec<Input>,
}

enum Standing {
    /// It may come, or come back, until then.
    Awaited(Time),
    /// The bus was asked who this is.
    Claims(String, Time),
    Present(String),
    Absent,
}

#[derive(Debug, PartialEq)]
enum Question {
    Owner,
    User,
    Sessions,
    Session(String),
    Preparing,
    Lock,
}

impl Question {
    fn is_about_sessions(&self) -> bool {
        matches!(self, Question::Sessions | Question::Session(_))
    }
}

impl Logind {
    /// Begins to look for it. `seated` are the users of whom the core knows seats, `locked` those whose screen it
    /// takes for locked: from before a restart.
    pub fn find(
        now: Time,
        seated: impl IntoIterator<Item = (Uid, Vec<Arc<str>>)>,
        locked: impl IntoIterator<Item = Uid>,
    ) -> Self {
        let mut logind = Logind {
            standing: Standing::Awaited(now + PATIENCE),
            open: HashMap::new(),
            unread: BTreeSet::new(),
            reading: None,
            seats: Seats::known_before(seated, locked),
            sleep: Sleep::default(),
            questions: words::rules(),
            inputs: Vec::new(),
        };
        logind.ask(words::owner(), Question::Owner);
        logind
    }

    /// What is to be sent, and what the core is to be told, since the last time.
    pub fn news(&mut self) -> (Vec<Message>, Vec<Input>) {
        (std::mem::take(&mut self.questions), std::mem::take(&mut self.inputs))
    }

    /// The bus says who owns logind's name now; nobody: it is empty.
    pub fn owned_by(&mut self, now: Time, owner: &str) {
        self.open.clear();
        self.unread.clear();
        self.reading = None;
        if owner.is_empty() {
            self.standing = Standing::Awaited(now + RESTART);
        } else {
            self.claimed(now, owner);
        }
    }

    /// A signal that is not the bus's own. `allowed` is how long calls may take to be held before sleep.
    pub fn signalled(&mut self, now: Time, signal: &Message, allowed: Millis) {
        let header = signal.header();
        let from_it = matches!((&self.standing, header.sender()),
            (Standing::Present(owner), Some(sender)) if sender.as_str() == owner);
        if !from_it {
            return;
        }
        match words::signal(signal) {
            Some(Signal::SessionChanged(session)) => {
                let room = self.unread.len() + self.seats.sessions() < SESSIONS;
                self.unread.extend(Some(session).filter(|path| room || self.seats.knows(path)));
                self.read(now);
            }
            Some(Signal::SessionRemoved(session)) => {
                self.unread.remove(&session);
                self.seats.ended(&session);
                self.settle();
            }
            Some(Signal::PrepareForSleep(true)) => {
                info!(message_id = crate::log::ids::SLEEP, "the machine is about to sleep");
                self.inputs.extend(self.sleep.begins(now, allowed));
            }
            Some(Signal::PrepareForSleep(false)) => {
                info!(message_id = crate::log::ids::SLEEP, "the machine is awake");
                self.awake();
            }
            None => {}
        }
    }

    /// An answer; whether it was to one of these questions.
    pub fn answered(&mut self, now: Time, question: NonZeroU32, answer: &Message) -> bool {
        let Some(question) = self.open.remove(&question) else { return false };
        if answer.message_type() == Type::Error {
            debug!(?question, error = ?answer.header().error_name(), "logind refuses");
        }
        match question {
            Question::Owner => match words::text(answer) {
                Some(owner) => self.claimed(now, &owner),
                None => self.absent(),
            },
            Question::User => self.identified(now, words::number(answer)),
            Question::Sessions => {
                let sessions = words::sessions(answer).unwrap_or_default();
                self.seats.only(&sessions);
                self.unread.extend(sessions.into_iter().take(SESSIONS));
                self.read(now);
            }
            Question::Session(path) => {
                match words::session(answer) {
                    Some(session) => self.seats.read(path, session),
                    None => self.seats.ended(&path),
                }
                self.read(now);
            }
            // The daemon may have been away when it changed.
            Question::Preparing => match words::truth(answer) {
                Some(true) => self.inputs.extend(self.sleep.begins(now, Millis(0))),
                _ => self.awake(),
            },
            Question::Lock => match words::lock(answer) {
                Some(lock) => self.sleep.lock(lock),
                None => warn!("logind gives no lock: the machine may sleep before calls are held"),
            },
        }
        true
    }

    /// A deadline may have passed.
    pub fn expired(&mut self, now: Time) {
        match &self.standing {
            Standing::Awaited(until) | Standing::Claims(_, until) if *until <= now => self.absent(),
            _ => {}
        }
        if self.reading.is_some_and(|until| until <= now) {
            warn!("logind does not answer about sessions");
            self.open.retain(|_, question| !question.is_about_sessions());
            self.unread.clear();
            self.settle();
        }
        if self.sleep.is_late(now) {
            warn!("the machine sleeps before all calls are held");
            self.sleep.release();
        }
    }

    /// The next time at which [`Logind::expired`] has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        let standing = match self.standing {
            Standing::Awaited(until) | Standing::Claims(_, until) => Some(until),
            Standing::Present(_) | Standing::Absent => None,
        };
        [standing, self.reading, self.sleep.until()].into_iter().flatten().min()
    }

    /// Sleep waits for us.
    pub fn delays_sleep(&self) -> bool {
        self.sleep.until().is_some()
    }

    /// It need not wait any longer.
    pub fn let_sleep(&mut self) {
        self.sleep.release();
    }

    fn claimed(&mut self, now: Time, owner: &str) {
        self.standing = Standing::Claims(owner.to_owned(), now + PATIENCE);
        self.open.retain(|_, question| *question != Question::User);
        self.ask(words::user(owner), Question::User);
    }

    /// Only root's logind is one: on a bus where anybody may own the name, anybody could hold everybody's calls.
    fn identified(&mut self, now: Time, user: Option<u32>) {
        let Standing::Claims(owner, _) = &self.standing else { return };
        if user != Some(ROOT_USER) {
            warn!(?user, "{NAME} is owned by somebody else than root, and ignored");
            return self.absent();
        }
        let owner = owner.clone();
        debug!(owner, "logind is there");
        self.ask(words::list_sessions(&owner), Question::Sessions);
        self.ask(words::is_preparing(&owner), Question::Preparing);
        self.ask(words::inhibit(&owner), Question::Lock);
        self.reading = Some(now + PATIENCE);
        self.standing = Standing::Present(owner);
    }

    /// Nobody is away from a seat that nobody knows of.
    fn absent(&mut self) {
        self.standing = Standing::Absent;
        self.seats.only(&[]);
        self.settle();
        self.sleep.release();
        self.inputs.extend(self.sleep.ends());
    }

    fn awake(&mut self) {
        self.inputs.extend(self.sleep.ends());
        let asked = self.open.values().any(|question| *question == Question::Lock);
        if let (Standing::Present(owner), false) = (&self.standing, asked || self.sleep.is_locked())
        {
            let inhibit = words::inhibit(owner);
            self.ask(inhibit, Question::Lock);
        }
    }

    fn read(&mut self, now: Time) {
        let Standing::Present(owner) = &self.standing else { return };
        let owner = owner.clone();
        while self.reads() < QUESTIONS
            && let Some(path) = self.unread.pop_first()
        {
            if let Some(question) = words::read_session(&owner, &path) {
                self.ask(Ok(question), Question::Session(path));
            }
        }
        if self.reads() == 0 {
            self.settle();
        } else {
            self.reading.get_or_insert(now + PATIENCE);
        }
    }

    fn reads(&self) -> usize {
        self.open.values().filter(|question| question.is_about_sessions()).count()
    }

    /// Tells the core, unless something is half known.
    fn settle(&mut self) {
        if self.reads() == 0 && self.unread.is_empty() {
            self.reading = None;
            self.seats.tell(&mut self.inputs);
        }
    }

    fn ask(&mut self, message: zbus::Result<Message>, question: Question) {
        match message {
            Ok(message) => {
                self.open.insert(message.primary_header().serial_num(), question);
                self.questions.push(message);
            }
            Err(error) => warn!(%error, ?question, "logind cannot be asked"),
        }
    }
}
