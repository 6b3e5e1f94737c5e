//! Posts: what a part does in a session, one program does; a desktop shell that does it by itself takes the post.
//!
//! Owns who has a post, and that a part works only while the agent has it. The post of a part with a role of the arbiter
//! is that role, which the newest agent has; of one without it is a name on the session bus. Whoever takes it relieves
//! the part, which goes on when it is free again.

use std::{pin::pin, sync::Arc};

use callarbiter::{Change, Snapshot, words::Role};
use futures_util::StreamExt;
use tokio::sync::{
    mpsc::{UnboundedReceiver, unbounded_channel},
    watch,
};
use tracing::{info, warn};
use zbus::{Connection, MatchRule, Message, MessageStream, message::Type};

use crate::scene::Told;

const BUS: &str = "org.freedesktop.DBus";

/// `RequestName`: somebody else may take it.
const ALLOW_REPLACEMENT: u32 = 1;
/// `RequestName`: nobody has it, or had it before.
const OWNER: [u32; 2] = [1, 4];

/// Lets a part work while the agent has this name, until it is told nothing any more.
pub async fn hold<F: Future<Output = ()>>(
    (session, name): (Connection, String),
    told: UnboundedReceiver<Told>,
    work: impl FnMut(UnboundedReceiver<Told>) -> F,
) {
    keep(Name::take(&session, &name).await, told, work).await;
}

/// The same with a role, of those that the agent has.
pub async fn hold_role<F: Future<Output = ()>>(
    (has, role): (watch::Receiver<Vec<Role>>, Role),
    told: UnboundedReceiver<Told>,
    work: impl FnMut(UnboundedReceiver<Told>) -> F,
) {
    keep(Held { has, role }, told, work).await;
}

/// Takes a name on the session bus, or waits for it behind whoever has it.
pub async fn own(session: &Connection, name: &str) {
    Name::take(session, name).await;
}

trait Post {
    /// Waits until the agent has it (or has it no more).
    async fn becomes(&mut self, held: bool);
}

async fn keep<F: Future<Output = ()>>(
    mut post: impl Post,
    mut told: UnboundedReceiver<Told>,
    mut work: impl FnMut(UnboundedReceiver<Told>) -> F,
) {
    let mut now: Option<Arc<Snapshot>> = None;
    loop {
        tokio::select! {
            biased;
            () = post.becomes(true) => {}
            next = told.recv() => match next {
                Some(next) => { now = Some(next.now); continue }
                None => return,
            },
        }
        let (sender, begun) = unbounded_channel();
        if let Some(now) = &now {
            // It hears this before anything else, or has failed already.
            let _ = sender.send(Told { change: Change::Resynced, now: now.clone() });
        }
        let mut working = pin!(work(begun));
        let over = loop {
            tokio::select! {
                biased;
                () = post.becomes(false) => break false,
                next = told.recv() => match next {
                    Some(next) => {
                        now = Some(next.now.clone());
                        let _ = sender.send(next);
                    }
                    None => break true,
                },
                // It said why.
                () = &mut working => return,
            }
        };
        // Told nothing any more, it undoes what it did.
        drop(sender);
        working.await;
        if over {
            return;
        }
    }
}

/// A role of the arbiter.
struct Held {
    has: watch::Receiver<Vec<Role>>,
    role: Role,
}

impl Post for Held {
    async fn becomes(&mut self, held: bool) {
        let role = &self.role;
        if self.has.wait_for(|roles| roles.contains(role) == held).await.is_err() {
            // The agent leaves, and its parts are told so.
            std::future::pending().await
        }
    }
}

/// A name on the session bus.
struct Name {
    /// What the bus says of it; none where it cannot be had.
    words: Option<MessageStream>,
    held: bool,
}

impl Name {
    async fn take(session: &Connection, name: &str) -> Name {
        match request(session, name).await {
            Ok((words, held)) => {
                if !held {
                    info!("another program has {name}: it does this part");
                }
                Name { words: Some(words), held }
            }
            Err(error) => {
                warn!(%error, "{name} is not to be had; nobody can take this part over");
                Name { words: None, held: true }
            }
        }
    }
}

impl Post for Name {
    async fn becomes(&mut self, held: bool) {
        while self.held != held {
            let word = match &mut self.words {
                Some(words) => words.next().await,
                None => std::future::pending().await,
            };
            match word {
                Some(Ok(message)) => notice(&message, &mut self.held),
                Some(Err(_)) => {}
                None => self.words = None,
            }
        }
    }
}

fn notice(message: &Message, held: &mut bool) {
    let name: String = message.body().deserialize().unwrap_or_default();
    match message.header().member().map(|member| member.as_str()) {
        Some("NameAcquired") => {
            *held = true;
            info!("{name} is free: this agent goes on");
        }
        Some("NameLost") => {
            *held = false;
            info!("another program took {name}: it does this part");
        }
        // What everybody hears of it.
        _ => {}
    }
}

/// Asks for the name, and to wait for it where somebody has it.
async fn request(session: &Connection, name: &str) -> zbus::Result<(MessageStream, bool)> {
    let rule = MatchRule::builder().msg_type(Type::Signal).sender(BUS).interface(BUS);
    let rule = rule.path("/org/freedesktop/DBus").arg(0, name).build()?;
    let all = MessageStream::for_match_rule(rule, session, None).await?;
    let (path, body) = ("/org/freedesktop/DBus", (name, ALLOW_REPLACEMENT));
    let reply = session.call_method(Some(BUS), path, Some(BUS), "RequestName", &body).await?;
    let held = OWNER.contains(&reply.body().deserialize()?);
    Ok((all, held))
}
