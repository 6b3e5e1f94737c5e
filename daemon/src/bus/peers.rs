//! Who is on the other end: every connection that speaks is identified before it is heard.
//!
//! Owns the connections: their numbers, identities, and what they sent before it was known who they are and
//! what they may. An identity is asked of the bus once a connection and forgotten when it leaves. A name that died is never
//! seen again: identification asks the bus about each new name, its answer and the news of the death
//! arrive in the order in which the bus knew them, and it gives no answer about the dead.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU32,
    ops::Bound::{Excluded, Unbounded},
    os::fd::AsFd,
    sync::Arc,
};

pub use callarbiter_config::Access;
use callarbiter_core::{AppIdSource, Caller, Peer, Uid};
use callarbiter_identity::{Identity, Sandbox, identify};
use callarbiter_wire::{Outgoing, Received};
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};
use zbus::{
    Message, OwnedVariant, Variant,
    names::{OwnedUniqueName, UniqueName},
};

use super::{
    admission,
    identities::Stranger,
    kept::Kept,
    numbers::ByNumber,
    parked::Accounts,
    permits::{Granted, Permission, Permits},
};

/// An identified connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its unique name.
    pub name: OwnedUniqueName,
    /// Who it is to the core.
    pub caller: Caller,
    /// Its app id, where something more than its own word says so.
    pub app: Option<(Arc<str>, AppIdSource)>,
    /// What else could say its app; none where nothing could.
    pub stranger: Option<Stranger>,
    /// Its process, as far as the bus knows.
    pub pid: Option<u32>,
    unit: Option<String>,
    /// What polkit lets it do.
    pub granted: Granted,
}

/// A connection as it is written down: what is known of it. What follows from that for its rights, the
/// configuration of the day says.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedPeer {
    name: String,
    uid: Uid,
    unit: Option<String>,
    sandboxed: bool,
    app: Option<String>,
    /// polkit lets it control other apps' calls.
    granted: bool,
    pid: Option<u32>,
    /// polkit lets it place calls through other apps.
    #[serde(default)]
    places: bool,
}

impl Client {
    /// Its user unit.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// What it may do, as it is decided now.
    fn judge(&mut self, permits: &Permits) {
        self.caller.control = permits.allows(self, Permission::Control);
        self.caller.place_call = permits.allows(self, Permission::PlaceCall);
    }

    /// It sees everything of its user.
    pub fn sees_all(&self) -> bool {
        self.caller.control
    }
}

/// What becomes of a message.
#[derive(Debug)]
pub enum Admission {
    /// Its sender is known.
    Known(Arc<Client>),
    /// It waits for its sender to be identified; the question to the bus, if it has not been sent.
    Parked(Option<Message>),
    /// Too much of its sender waits already.
    Refused,
}

/// What waits until it is known who its connection is.
#[derive(Clone, Debug)]
pub enum Parked {
    /// What it asked for.
    Call(Received),
    /// What it will be told instead: it pays for that, too.
    Refusal(Outgoing),
}

impl Parked {
    fn bytes(&self) -> usize {
        match self {
            Parked::Call(call) => call.length(),
            Parked::Refusal(refusal) => refusal.length(),
        }
    }

    /// Each is a file that the daemon has open.
    fn has_files(&self) -> bool {
        matches!(self, Parked::Call(call) if call.has_files())
    }
}

/// The bus said who a connection is.
#[derive(Debug)]
pub enum Identified {
    /// Nothing more is to be learnt of it: [`Peers::let_in`] is next. Also where so much of its user waits
    /// for answers already that there is no room for one more.
    Known(OwnedUniqueName),
    /// It is behind a wall, around this app if that is known. What it may do beyond its own calls is not decided here;
    /// what it sends stays parked until [`Peers::let_in`].
    Walled(OwnedUniqueName, Option<Arc<str>>),
    /// It has left, or the bus knows no user behind it.
    Nobody,
}

enum Standing {
    Waiting(Waiting),
    Known(Arc<Client>),
}

/// One that is not heard yet.
#[derive(Default)]
struct Waiting {
    parked: VecDeque<Parked>,
    bytes: usize,
    /// On whose account; everybody's until the bus has said who it is.
    payer: Option<Uid>,
    /// Who it is, once the bus has said so.
    client: Option<Client>,
}

/// All connections that have spoken.
#[derive(Default)]
pub struct Peers {
    standing: HashMap<OwnedUniqueName, Standing>,
    names: Kept<Peer, OwnedUniqueName>,
    questions: ByNumber<NonZeroU32, OwnedUniqueName>,
    parked: Accounts,
    numbered: u64,
}

impl Peers {
    /// Lets a message in, parks it, or refuses it.
    pub fn admit(&mut self, sender: &str, message: Parked) -> Admission {
        let size = message.bytes();
        match self.standing.get_mut(sender) {
            Some(Standing::Known(client)) => Admission::Known(client.clone()),
            Some(Standing::Waiting(waiting)) => {
                if waiting.parked.len() >= admission::PARKED_PER_PEER
                    || waiting.bytes + size > admission::PARKED_BYTES_PER_PEER
                    || message.has_files() && waiting.parked.iter().any(Parked::has_files)
                    || !self.parked.charge(waiting.payer, 1, size)
                {
                    return Admission::Refused;
                }
                waiting.parked.push_back(message);
                waiting.bytes += size;
                Admission::Parked(None)
            }
            None => {
                let Ok(name) = UniqueName::try_from(sender) else { return Admission::Refused };
                let question = match credentials_of(&name) {
                    Ok(question) => question,
                    Err(error) => {
                        warn!(%error, "the bus cannot be asked about a connection");
                        return Admission::Refused;
                    }
                };
                if !self.parked.charge_first(size) {
                    return Admission::Refused;
                }
                let name: OwnedUniqueName = name.to_owned().into();
                self.questions.insert(question.primary_header().serial_num(), name.clone());
                let parked = VecDeque::from([message]);
                let waiting = Waiting { parked, bytes: size, payer: None, client: None };
                self.standing.insert(name, Standing::Waiting(waiting));
                Admission::Parked(Some(question))
            }
        }
    }

    /// The bus answered a question; `None` if it was not ours.
    pub fn answered(
        &mut self,
        question: NonZeroU32,
        answer: &Message,
        permits: &Permits,
    ) -> Option<Identified> {
        let name = self.questions.remove(&question)?;
        let Some(Standing::Waiting(waiting)) = self.standing.get_mut(&name) else {
            // It left before the bus answered.
            return Some(Identified::Nobody);
        };
        let Some(client) = identified(Peer(self.numbered), name.clone(), answer, &permits.access)
        else {
            self.left(&name);
            return Some(Identified::Nobody);
        };
        self.numbered += 1;
        let walled = permits.asks_polkit(&client);
        let app = client.app.as_ref().map(|(app, _)| app.clone());
        let user = Some(client.caller.uid);
        waiting.client = Some(client);
        let (messages, bytes) = (waiting.parked.len(), waiting.bytes);
        if !walled || !self.parked.charge(user, messages, bytes) {
            return Some(Identified::Known(name));
        }
        self.parked.release(None, messages, bytes);
        waiting.payer = user;
        Some(Identified::Walled(name, app))
    }

    /// Hears an identified connection from now on, with what polkit granted it: what waited may go on, in its order.
    /// `None` if it has left or is heard already.
    pub fn let_in(
        &mut self,
        name: &OwnedUniqueName,
        granted: Granted,
        permits: &Permits,
    ) -> Option<(Arc<Client>, VecDeque<Parked>)> {
        let Some(Standing::Waiting(waiting)) = self.standing.get_mut(name) else { return None };
        let mut client = waiting.client.take()?;
        let (parked, bytes) = (std::mem::take(&mut waiting.parked), waiting.bytes);
        self.parked.release(waiting.payer, parked.len(), bytes);
        client.granted = granted;
        client.judge(permits);
        let client = Arc::new(client);
        self.names.insert(client.caller.peer, name.clone());
        self.standing.insert(name.clone(), Standing::Known(client.clone()));
        Some((client, parked))
    }

    /// What an agent said of a connection, or that it said nothing; it is not asked about again.
    pub fn learn(
        &mut self,
        peer: Peer,
        app: Option<(Arc<str>, AppIdSource)>,
        permits: &Permits,
    ) -> Option<Arc<Client>> {
        let name = self.names.get(&peer)?.clone();
        let Some(Standing::Known(client)) = self.standing.get_mut(&name) else { return None };
        let mut learnt = Client { app, stranger: None, ..Client::clone(client) };
        learnt.judge(permits);
        let learnt = Arc::new(learnt);
        *client = learnt.clone();
        self.names.insert(peer, name);
        Some(learnt)
    }

    /// What is decided about apps has changed: those whom it concerns, as they are now.
    pub fn judge_again(&mut self, permits: &Permits) -> Vec<Arc<Client>> {
        let mut changed = Vec::new();
        for standing in self.standing.values_mut() {
            let Standing::Known(client) = standing else { continue };
            if !client.caller.sandboxed {
                continue;
            }
            let mut judged = Client::clone(client);
            judged.judge(permits);
            if judged.caller != client.caller {
                *client = Arc::new(judged);
                changed.push(client.clone());
            }
        }
        changed.sort_unstable_by_key(|client| client.caller.peer);
        changed
    }

    /// This user's identified connections behind walls.
    pub fn walled(&self, uid: Uid) -> impl Iterator<Item = &Arc<Client>> {
        let known = self.standing.values().filter_map(|standing| match standing {
            Standing::Known(client) => Some(client),
            Standing::Waiting(_) => None,
        });
        known.filter(move |client| client.caller.uid == uid && client.caller.sandboxed)
    }

    /// A connection left the bus; who it was, if it was heard.
    pub fn left(&mut self, name: &str) -> Option<Arc<Client>> {
        match self.standing.remove(name)? {
            Standing::Known(client) => {
                self.names.remove(&client.caller.peer);
                Some(client)
            }
            Standing::Waiting(waiting) => {
                self.parked.release(waiting.payer, waiting.parked.len(), waiting.bytes);
                None
            }
        }
    }

    /// The name of a connection that is still there.
    pub fn name(&self, peer: Peer) -> Option<&OwnedUniqueName> {
        self.names.get(&peer)
    }

    /// An identified connection that is still there.
    pub fn client(&self, peer: Peer) -> Option<&Arc<Client>> {
        match self.standing.get(self.names.get(&peer)?)? {
            Standing::Known(client) => Some(client),
            Standing::Waiting(_) => None,
        }
    }
}

impl Peers {
    /// Connections that came, or left, since this was last emptied.
    pub fn changed(&mut self) -> &mut Vec<Peer> {
        self.names.changed()
    }

    /// The next identified connections, in the order of their numbers.
    pub fn known_after(&self, after: Option<Peer>) -> impl Iterator<Item = Peer> {
        self.names.range((after.map_or(Unbounded, Excluded), Unbounded)).map(|(peer, _)| *peer)
    }

    /// An identified connection, to be written down.
    pub fn saved(&self, peer: Peer) -> Option<SavedPeer> {
        let client = self.client(peer)?;
        Some(SavedPeer {
            name: client.name.to_string(),
            uid: client.caller.uid,
            unit: client.unit.clone(),
            sandboxed: client.caller.sandboxed,
            app: client.app.as_ref().map(|(app, _)| app.to_string()),
            granted: client.granted.control,
            pid: client.pid,
            places: client.granted.place_call,
        })
    }

    /// A connection that was identified before the daemon was started again; it keeps its number. What it may do is
    /// judged when everything is there.
    pub fn restore(&mut self, peer: Peer, saved: SavedPeer, access: &Access) -> Option<()> {
        let name: OwnedUniqueName = UniqueName::try_from(saved.name).ok()?.into();
        let sandbox = saved.sandboxed.then_some(Sandbox::Unknown);
        let identity = Identity { unit: saved.unit, sandbox, app: saved.app };
        let mut client = client(peer, saved.uid, name.clone(), &identity, access);
        client.granted = Granted { control: saved.granted, place_call: saved.places };
        client.pid = saved.pid;
        self.names.restore(peer, name.clone());
        self.standing.insert(name, Standing::Known(Arc::new(client)));
        self.numbered = self.numbered.max(peer.0 + 1);
        Some(())
    }

    /// Those who are not there any more, by their names.
    pub fn absent(&self, is_there: impl Fn(&str) -> bool) -> Vec<OwnedUniqueName> {
        let absent = self.names.iter().filter(|(_, name)| !is_there(name));
        absent.map(|(_, name)| name.clone()).collect()
    }

    /// How many are identified.
    pub fn known(&self) -> usize {
        self.names.keys().count()
    }
}

fn credentials_of(name: &UniqueName<'_>) -> zbus::Result<Message> {
    Message::method_call("/org/freedesktop/DBus", "GetConnectionCredentials")
        .destination("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .build(&name.as_str())
}

fn identified(
    peer: Peer,
    name: OwnedUniqueName,
    answer: &Message,
    access: &Access,
) -> Option<Client> {
    let body = answer.body();
    if answer.message_type() != zbus::message::Type::MethodReturn || *body.signature() != "a{sv}" {
        return None;
    }
    let credentials: HashMap<String, OwnedVariant> = body.deserialize().ok()?;
    let number = |key: &str| match credentials.get(key).map(|value| &**value) {
        Some(Variant::U32(number)) => Some(*number),
        _ => None,
    };
    let uid = number("UnixUserID")?;
    let pidfd = match credentials.get("ProcessFD").map(|value| &**value) {
        Some(Variant::Fd(fd)) => Some(fd.as_fd()),
        _ => None,
    };
    let identity = match number("ProcessID") {
        Some(pid) => identify(pid, uid, pidfd).unwrap_or_else(|error| {
            // Not worth more: it happens with every short-lived process.
            debug!(%error, "a caller could not be identified");
            Identity::unknown()
        }),
        None => Identity::unknown(),
    };
    let mut client = client(peer, Uid(uid), name, &identity, access);
    let stranger = |pid| Stranger { pid, sandbox: word(identity.sandbox.as_ref()) };
    client.pid = number("ProcessID");
    client.stranger = client.pid.filter(|_| client.app.is_none()).map(stranger);
    Some(client)
}

fn word(sandbox: Option<&Sandbox>) -> &'static str {
    match sandbox {
        None => "",
        Some(Sandbox::Flatpak) => "flatpak",
        Some(Sandbox::Snap) => "snap",
        Some(Sandbox::Container(_)) => "container",
        Some(Sandbox::Unknown) => "unknown",
    }
}

fn client(
    peer: Peer,
    uid: Uid,
    name: OwnedUniqueName,
    identity: &Identity,
    access: &Access,
) -> Client {
    let sandboxed = identity.sandboxed();
    let source = if sandboxed { AppIdSource::Sandbox } else { AppIdSource::Unit };
    let app = identity.app.as_deref().map(|app| (Arc::from(app), source));
    let listed = identity.unit.as_ref().is_some_and(|unit| access.agent_units.contains(unit));
    let caller = Caller {
        uid,
        peer,
        sandboxed,
        control: !sandboxed,
        place_call: !sandboxed,
        agent: !sandboxed && (listed || access.agents_anywhere),
    };
    let unit = identity.unit.clone();
    Client { name, caller, app, pid: None, stranger: None, unit, granted: Granted::default() }
}

#[cfg(test)]
mod tests;
