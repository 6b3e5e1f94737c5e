//! The control connection of baresip (module ctrl_tcp): netstrings of JSON over TCP. Owns the framing and
//! the pairing of answers with commands; it must not know what a call is.
//!
//! baresip serves one client at a time, a new one displaces the old. It answers in order, and commands that
//! arrive in one piece run without anything in between: that is what makes "select this call, then act on the
//! selected call" safe while others may ring.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, oneshot};
use tokio::time::timeout;

/// baresip answers within one turn of its loop; a phone that does not is stuck.
const PATIENCE: Duration = Duration::from_secs(3);
/// Far more than any answer of baresip; more is a peer that is no baresip.
const LONGEST: usize = 1 << 20;
/// Events that a slow reader may fall behind.
const BACKLOG: usize = 256;
const GONE: &str = "baresip has closed its control connection";

/// Who waits for an answer, in the order of the commands; nothing once baresip is gone.
type Waiting = Arc<Mutex<Option<VecDeque<oneshot::Sender<Answer>>>>>;

/// A connection to one running baresip.
pub struct Control {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Waiting,
    events: broadcast::WeakSender<Event>,
}

/// What baresip said to one command.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether the command was carried out, as far as baresip tells.
    pub ok: bool,
    /// What it printed.
    pub text: String,
}

/// Something that happened in the phone.
#[derive(Clone, Debug)]
pub struct Event {
    /// `CALL_INCOMING`, `CALL_ESTABLISHED`, `CALL_CLOSED` …
    pub kind: String,
    /// The SIP Call-ID; empty where baresip leaves it out.
    pub id: String,
    /// Whether the other side called.
    pub incoming: bool,
    /// The other side's address.
    pub peer: String,
    /// What is special about it: a reason, `offer` or `answer`, a digit.
    pub detail: String,
}

impl Control {
    /// Connects; the events come from `events()`, which ends when the phone is gone.
    pub async fn connect(address: &str) -> Result<Control> {
        let stream = TcpStream::connect(address).await.with_context(|| {
            format!("no baresip at {address}: does its config have module ctrl_tcp.so and ctrl_tcp_listen?")
        })?;
        let (reader, writer) = stream.into_split();
        let waiting = Waiting::new(Mutex::new(Some(VecDeque::new())));
        let (events, _) = broadcast::channel(BACKLOG);
        let weak = events.downgrade();
        tokio::spawn(read(reader, waiting.clone(), events));
        Ok(Control { writer: writer.into(), waiting, events: weak })
    }

    /// What happens from now on; nothing more comes once the phone is gone.
    pub fn events(&self) -> Result<broadcast::Receiver<Event>> {
        Ok(self.events.upgrade().context(GONE)?.subscribe())
    }

    /// Runs these commands, such as `dial sip:x@y`, without anything in between.
    pub async fn run(&self, commands: &[String]) -> Result<Vec<Answer>> {
        let mut frames = Vec::new();
        for command in commands {
            let (name, parameters) = command.split_once(' ').unwrap_or((command, ""));
            let body = json!({ "command": name, "params": parameters }).to_string();
            frames.extend_from_slice(format!("{}:{body},", body.len()).as_bytes());
        }
        let answers = {
            let mut writer = self.writer.lock().await;
            let answers: Option<Vec<_>> = commands.iter().map(|_| self.expect_answer()).collect();
            writer.write_all(&frames).await.context(GONE)?;
            answers.context(GONE)?
        };
        let mut said = Vec::new();
        for answer in answers {
            let answer = timeout(PATIENCE, answer).await.context("baresip does not answer")?;
            said.push(answer.context(GONE)?);
        }
        Ok(said)
    }

    fn expect_answer(&self) -> Option<oneshot::Receiver<Answer>> {
        let (sender, receiver) = oneshot::channel();
        locked(&self.waiting).as_mut()?.push_back(sender);
        Some(receiver)
    }
}

/// Sorts what baresip says until it hangs up.
async fn read(mut reader: OwnedReadHalf, waiting: Waiting, events: broadcast::Sender<Event>) {
    let mut received = Vec::new();
    loop {
        match netstring(&received) {
            Ok(Some((body, length))) => {
                let message: Value = serde_json::from_slice(body).unwrap_or_default();
                received.drain(..length);
                if message.get("response").is_some() {
                    let waiter = locked(&waiting).as_mut().and_then(VecDeque::pop_front);
                    waiter.map(|waiter| waiter.send(answer(&message)));
                } else {
                    // An error only says that nobody listens.
                    let _ = events.send(event(&message));
                }
            }
            Ok(None) => match reader.read_buf(&mut received).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            },
            Err(_) => break,
        }
    }
    locked(&waiting).take();
}

/// The first whole netstring: its body, and how long it was with its frame.
fn netstring(bytes: &[u8]) -> io::Result<Option<(&[u8], usize)>> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "not a netstring");
    let Some(colon) = bytes.iter().position(|byte| *byte == b':') else {
        return if bytes.len() > 8 { Err(broken()) } else { Ok(None) };
    };
    let length = bytes.get(..colon).and_then(|digits| std::str::from_utf8(digits).ok());
    let length: usize = length.and_then(|digits| digits.parse().ok()).ok_or_else(broken)?;
    if length > LONGEST {
        return Err(broken());
    }
    let start = colon + 1;
    match (bytes.get(start..start + length), bytes.get(start + length)) {
        (Some(body), Some(b',')) => Ok(Some((body, start + length + 1))),
        (Some(_), Some(_)) => Err(broken()),
        _ => Ok(None),
    }
}

fn answer(message: &Value) -> Answer {
    let ok = message.get("ok").and_then(Value::as_bool).unwrap_or(false);
    Answer { ok, text: text(message, "data") }
}

fn event(message: &Value) -> Event {
    Event {
        kind: text(message, "type"),
        id: text(message, "id"),
        incoming: text(message, "direction") == "incoming",
        peer: text(message, "peeruri"),
        detail: text(message, "param"),
    }
}

fn text(message: &Value, key: &str) -> String {
    message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answer {
    /// Turns a refusal into an error.
    pub fn accepted(&self, what: &str) -> Result<()> {
        if !self.ok {
            bail!("baresip did not {what}: {}", self.text.trim());
        }
        Ok(())
    }
}
