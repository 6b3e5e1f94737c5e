//! The app's way to the bus: a socket of its own, through which every message passes.
//!
//! Owns what is done to messages on the way: they are recorded; a request is said again, or made up, as the
//! arbiter would say it; the answer to one that was made up goes no further; a report is refused, or an
//! answer withheld, when the trial wants it so. Nothing else is changed, descriptors included.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use futures_util::StreamExt;
use serde::Serialize;
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use zbus::{
    Connection, DynamicType, Guid, Message,
    connection::Builder,
    message::{Builder as Reply, Flags, Header},
};

use super::said::{CONTRACT, Said, Word};
use crate::failure::Failure;

/// Requests that were made up are known by it.
const MADE_UP: &str = "conformance-";
const REFUSAL: &str = "refused by callctl conformance, to see what the app does then";

pub struct Relay {
    pub address: String,
    pub said: Arc<Said>,
    /// To ask who the arbiter is.
    bus: Connection,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    bus: String,
    said: Arc<Said>,
    lines: AtomicUsize,
    asked: AtomicU32,
    /// The connection that the arbiter last asked on.
    app: Mutex<Option<(usize, Connection)>>,
    refusal: Mutex<Option<&'static str>>,
    withheld: Mutex<Option<String>>,
    slow: Mutex<Slow>,
}

/// A line of the app that is slow.
#[derive(Default)]
struct Slow {
    /// From the answer to this request on.
    from: Option<&'static str>,
    /// What is under way since then.
    under_way: Option<Vec<(Connection, Message)>>,
}

/// What becomes of a message of the app.
enum Fate {
    Passed,
    Answered(Message),
    Kept,
}

impl Relay {
    pub async fn start(directory: &Path, bus: &str) -> Result<Self, Failure> {
        let path = directory.join("app");
        let listener = UnixListener::bind(&path).map_err(|error| {
            Failure::refused(format!("no socket for the app at {}: {error}", path.display()))
        })?;
        let asking = Builder::address(bus).build().await.map_err(|error| {
            Failure::refused(format!("the trial cannot reach its own bus: {error}"))
        })?;
        let said = Arc::new(Said::new());
        let shared = Arc::new(Shared {
            bus: bus.to_owned(),
            said: said.clone(),
            lines: AtomicUsize::new(0),
            asked: AtomicU32::new(0),
            app: Mutex::default(),
            refusal: Mutex::default(),
            withheld: Mutex::default(),
            slow: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared.clone()));
        let address = format!("unix:path={}", path.display());
        Ok(Relay { address, said, bus: asking, shared, _tasks: tasks })
    }

    /// Says a request of the arbiter once more, exactly as it was.
    pub async fn repeat(&self, word: &Word) -> Result<(), String> {
        let app = self.app()?;
        app.send(&word.message).await.map_err(unasked)
    }

    /// Asks as the arbiter would, in the way in which it last asked; the name of the request.
    pub async fn ask<B>(
        &self,
        member: &'static str,
        body: impl FnOnce(String) -> B,
    ) -> Result<String, String>
    where
        B: Serialize + DynamicType,
    {
        let request = self.name();
        self.tell(member, &body(request.clone())).await?;
        Ok(request)
    }

    /// Asks as somebody who is on the bus, too, and has nothing to ask.
    pub async fn ask_as_stranger<B>(
        &self,
        member: &'static str,
        body: impl FnOnce(String) -> B,
    ) -> Result<String, String>
    where
        B: Serialize + DynamicType,
    {
        let stranger = self.bus.unique_name().map(ToString::to_string).unwrap_or_default();
        let request = self.name();
        self.say(stranger, member, &body(request.clone())).await?;
        Ok(request)
    }

    /// Tells what wants no answer.
    pub async fn tell<B>(&self, member: &'static str, body: &B) -> Result<(), String>
    where
        B: Serialize + DynamicType,
    {
        let reply = self
            .bus
            .call_method(
                Some("org.freedesktop.DBus"),
                "/org/freedesktop/DBus",
                Some("org.freedesktop.DBus"),
                "GetNameOwner",
                &"org.callarbiter.Calls1",
            )
            .await
            .map_err(unasked)?;
        let arbiter = reply.body().deserialize().map_err(unasked)?;
        self.say(arbiter, member, body).await
    }

    async fn say<B>(&self, sender: String, member: &'static str, body: &B) -> Result<(), String>
    where
        B: Serialize + DynamicType,
    {
        let asked = |word: &Word| !word.from_app && word.answers == 0;
        let Some(like) = self.said.last(asked) else {
            return Err("the arbiter never asked this app for anything".to_owned());
        };
        let message = made_up(&like.message, sender, member, body).map_err(unasked)?;
        self.app()?.send(&message).await.map_err(unasked)
    }

    fn name(&self) -> String {
        format!("{MADE_UP}{}", self.shared.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// The next incoming call that the app reports is refused with this error.
    pub fn refuse_next(&self, error: &'static str) {
        *locked(&self.shared.refusal) = Some(error);
    }

    /// The answer to the next request of this name does not reach the arbiter; until `None`.
    pub fn withhold(&self, member: Option<&str>) {
        *locked(&self.shared.withheld) = member.map(str::to_owned);
    }

    /// The answer to the next request of this name, and whatever the app says after it, waits for [`Self::arrive`].
    pub fn slow_down(&self, from: &'static str) {
        locked(&self.shared.slow).from = Some(from);
    }

    /// What the app has said meanwhile arrives; what it says from now on is as quick as ever.
    pub async fn arrive(&self) -> Result<(), String> {
        loop {
            let under_way = {
                let mut slow = locked(&self.shared.slow);
                slow.from = None;
                // As long as something is, the next word waits behind it.
                let under_way = slow.under_way.as_mut().map(std::mem::take).unwrap_or_default();
                if under_way.is_empty() {
                    slow.under_way = None;
                    return Ok(());
                }
                under_way
            };
            for (bus, message) in under_way {
                bus.send(&message)
                    .await
                    .map_err(|error| format!("the app's line broke: {error}"))?;
            }
        }
    }

    fn app(&self) -> Result<Connection, String> {
        let app = locked(&self.shared.app).clone();
        app.map(|(_, app)| app).ok_or_else(|| "the app is not on the bus".to_owned())
    }
}

impl Shared {
    fn heard_app(&self, line: usize, message: &Message) -> zbus::Result<Fate> {
        let Some(word) = Word::read(true, line, message) else { return Ok(Fate::Passed) };
        self.said.add(word.clone());
        let header = message.header();
        match word.name.as_str() {
            "ReportIncomingCall" => match locked(&self.refusal).take() {
                Some(error) => {
                    let name = format!("{CONTRACT}Error.{error}");
                    self.answer(Message::error(&header, name), &header, &REFUSAL)
                }
                None => Ok(Fate::Passed),
            },
            "Fulfil" | "Fail" | "Progress" => {
                let request = word.text(0);
                match request.starts_with(MADE_UP) || self.is_withheld(request) {
                    true => self.answer(Message::method_return(&header), &header, &()),
                    false => Ok(Fate::Passed),
                }
            }
            _ => Ok(Fate::Passed),
        }
    }

    fn heard_arbiter(&self, line: usize, app: &Connection, message: &Message) {
        if let Some(word) = Word::read(false, line, message) {
            if word.answers == 0 {
                *locked(&self.app) = Some((line, app.clone()));
            }
            self.said.add(word);
        }
    }

    fn is_withheld(&self, request: &str) -> bool {
        let withheld = locked(&self.withheld).clone();
        let asked = |word: &Word| !word.from_app && word.text(0) == request;
        withheld.is_some_and(|name| self.said.last(asked).is_some_and(|word| word.name == name))
    }

    /// Whether it is under way, for now.
    fn is_slow(&self, line: usize, bus: &Connection, message: &Message) -> bool {
        let word = Word::read(true, line, message);
        let mut slow = locked(&self.slow);
        let late = slow.from;
        let answers = word.as_ref().filter(|_| slow.under_way.is_none()).is_some_and(|word| {
            let asks =
                |ask: &Word| Some(ask.name.as_str()) == late && word.is_answer_to(ask.text(0));
            self.said.last(|ask| !ask.from_app && asks(ask)).is_some()
        });
        if answers {
            slow.under_way = Some(Vec::new());
        }
        let Some(under_way) = &mut slow.under_way else { return false };
        under_way.push((bus.clone(), message.clone()));
        if let Some(word) = word {
            self.said.add(word);
        }
        true
    }

    fn gone(&self, line: usize) {
        locked(&self.app).take_if(|(of, _)| *of == line);
    }

    /// As the arbiter would, to an app that wants to hear it.
    fn answer<B>(&self, reply: Reply<'_>, to: &Header<'_>, body: &B) -> zbus::Result<Fate>
    where
        B: Serialize + DynamicType,
    {
        if to.primary().flags().contains(Flags::NO_REPLY_EXPECTED) {
            return Ok(Fate::Kept);
        }
        let last = self.said.last(|word| !word.from_app);
        let sender = last.and_then(|word| word.message.header().sender().map(ToString::to_string));
        let reply = match sender {
            Some(sender) => reply.sender(sender),
            None => reply,
        };
        reply.build(body).map(Fate::Answered)
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let mut lines = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let line = shared.lines.fetch_add(1, Ordering::Relaxed);
        let shared = shared.clone();
        lines.spawn(async move {
            // A connection that breaks is the app's to notice, as on any bus.
            let _ = carry(stream, line, &shared).await;
            shared.gone(line);
        });
    }
}

async fn carry(stream: UnixStream, line: usize, shared: &Shared) -> zbus::Result<()> {
    let stream = stream.into_std()?;
    let (mut from_app, mut from_bus) = tokio::try_join!(
        Builder::unix_stream(stream).server(Guid::generate()).p2p().build_message_stream(),
        Builder::address(shared.bus.as_str()).p2p().build_message_stream(),
    )?;
    let (app, bus) = (Connection::from(&from_app), Connection::from(&from_bus));
    let up = async {
        while let Some(message) = from_app.next().await {
            let message = message?;
            if shared.is_slow(line, &bus, &message) {
                continue;
            }
            match shared.heard_app(line, &message)? {
                Fate::Passed => bus.send(&message).await?,
                Fate::Answered(reply) => app.send(&reply).await?,
                Fate::Kept => {}
            }
        }
        Ok(())
    };
    let down = async {
        while let Some(message) = from_bus.next().await {
            let message = message?;
            shared.heard_arbiter(line, &app, &message);
            app.send(&message).await?;
        }
        Ok(())
    };
    let carried: zbus::Result<()> = tokio::select! {
        ended = up => ended,
        ended = down => ended,
    };
    // Whichever side is left must see that the other is gone.
    let _ = tokio::join!(bus.close(), app.close());
    carried
}

/// A request to the same object.
fn made_up<B>(
    like: &Message,
    sender: String,
    member: &'static str,
    body: &B,
) -> zbus::Result<Message>
where
    B: Serialize + DynamicType,
{
    let header = like.header();
    let path = header.path().cloned().ok_or(zbus::Error::MissingField)?;
    let mut message = Message::method_call(path, member)
        .interface("org.callarbiter.Calls1.ProviderDelegate")
        .sender(sender)
        .with_flags(Flags::NO_REPLY_EXPECTED);
    if let Some(app) = header.destination() {
        message = message.destination(app.clone());
    }
    message.build(body)
}

fn unasked(error: zbus::Error) -> String {
    format!("the app cannot be asked: {error}")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
