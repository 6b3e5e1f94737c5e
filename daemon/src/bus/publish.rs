//! What changed, told to those who subscribed: one signal for each change, unicast, in order.
//!
//! Owns the form of signals and who gets which. A personal word is never broadcast: on a system bus
//! every user could read it.

use callarbiter_core::{Change, Notice, Now, Object, Peer, Uid};
use callarbiter_dbus::names;
use tracing::{debug, error};
use zbus::{Message, names::OwnedUniqueName};

use super::{
    copies::{Copies, Signal},
    debts::Credit,
    parse,
    router::Router,
    subscribers::Standing,
    views::{Properties, View, interfaces_of},
};

pub const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub const PEER: &str = "org.freedesktop.DBus.Peer";

impl Router {
    /// One change, with its number, to everybody whom it concerns.
    pub(super) fn publish(
        &mut self,
        now: Now,
        uid: Uid,
        revision: u64,
        change: &Change,
        out: &mut Vec<Message>,
    ) {
        let object = subject(change);
        let mut receivers: Vec<Peer> = self.subscribers.of(uid, object).collect();
        if let Change::Finished(transaction) = change {
            let requester = self.requesters.get(&(uid, *transaction)).copied();
            receivers.extend(requester.filter(|peer| !receivers.contains(peer)));
        }
        for (peer, signal) in self.signals(uid, revision, change, &receivers) {
            let bytes = signal.data().len();
            if !self.affords(now, uid, peer, &signal) {
                self.subscribers.suspend(uid, peer);
                self.resync_later(now, uid, peer);
                continue;
            }
            let serial = signal.primary_header().serial_num();
            self.send(now, uid, peer, signal, out);
            if self.subscribers.sent(uid, peer, serial, bytes) == Standing::Suspended {
                self.resync(now, uid, peer, out);
            }
        }
        if let Change::Removed(object) = change {
            self.subscribers.forget(uid, *object);
            if let Object::Transaction(id) = object {
                self.requesters.remove(&(uid, *id));
            }
        }
    }

    /// The same signal for each receiver, in at most two forms: with and without what is personal.
    fn signals(
        &self,
        uid: Uid,
        revision: u64,
        change: &Change,
        receivers: &[Peer],
    ) -> Vec<(Peer, Message)> {
        let view = self.view(uid);
        let object = subject(change);
        let mut forms: [Option<Copies>; 2] = [None, None];
        let mut signals = Vec::with_capacity(receivers.len());
        let path = view.path(object);
        for peer in receivers {
            let Some(client) = self.peers.client(*peer) else { continue };
            let open = view.reveals(client, object)
                || matches!(change, Change::Finished(id)
                    if self.requesters.get(&(uid, *id)) == Some(peer));
            let [closed_form, open_form] = &mut forms;
            let form = if open { open_form } else { closed_form };
            if form.is_none() {
                *form = match copies(&view, path.as_str(), revision, change, open) {
                    Ok(copies) => Some(copies),
                    Err(reason) => {
                        error!(%reason, "a change could not be put into a signal");
                        return signals;
                    }
                };
            }
            match form.as_ref().map(|form| form.to(&client.name)) {
                Some(Ok(signal)) => signals.push((*peer, signal)),
                Some(Err(reason)) => error!(%reason, "a signal could not be addressed"),
                None => {}
            }
        }
        signals
    }

    /// A message to a connection, charged to it; now and then with the question whether it has read what
    /// it got, whose answer comes in order, or not at all.
    pub(super) fn send(
        &mut self,
        now: Now,
        uid: Uid,
        peer: Peer,
        message: Message,
        out: &mut Vec<Message>,
    ) {
        let ask = self.debts.sent(now.mono, uid, peer, message.data().len());
        out.push(message);
        let Some(name) = self.peers.name(peer).filter(|_| ask) else { return };
        match ping(name) {
            Ok(question) => {
                self.debts.asked(uid, peer, question.primary_header().serial_num());
                out.push(question);
            }
            Err(reason) => error!(%reason, "a connection could not be asked"),
        }
    }

    /// Tells a subscriber that it missed something, or will from here on.
    pub(super) fn resync(&mut self, now: Now, uid: Uid, peer: Peer, out: &mut Vec<Message>) {
        let Some(name) = self.peers.name(peer) else { return };
        debug!(uid = uid.0, "a subscriber did not keep up and has to resynchronise");
        let signal = Message::signal(names::ROOT_PATH, names::MANAGER, "ResyncNeeded")
            .destination(name.as_ref())
            .build(&self.view(uid).revision());
        match signal {
            Ok(signal) if self.affords(now, uid, peer, &signal) => {
                self.subscribers.told(uid, peer, signal.primary_header().serial_num());
                self.send(now, uid, peer, signal, out);
            }
            Ok(_) => self.resync_later(now, uid, peer),
            Err(reason) => error!(%reason, "ResyncNeeded could not be built"),
        }
    }

    /// Whether a message may be sent to a connection that has much unread.
    pub(super) fn affords(&mut self, now: Now, uid: Uid, peer: Peer, message: &Message) -> bool {
        self.debts.credit(now.mono, uid, peer, message.data().len()) == Credit::Good
    }
}

fn ping(name: &OwnedUniqueName) -> zbus::Result<Message> {
    Message::method_call("/", "Ping").interface(PEER).destination(name.as_ref()).build(&())
}

/// The object that a change is about.
fn subject(change: &Change) -> Object {
    match change {
        Change::Added(object) | Change::Changed(object, _) | Change::Removed(object) => *object,
        Change::Transition { call, .. } | Change::Notice { call, .. } => Object::Call(*call),
        Change::Finished(transaction) => Object::Transaction(*transaction),
    }
}

fn copies<'a>(
    view: &View<'_>,
    path: &'a str,
    revision: u64,
    change: &Change,
    open: bool,
) -> zbus::Result<Copies<'a>> {
    let from_root = |interface, member| Signal { path: names::ROOT_PATH, interface, member };
    match change {
        // The root object is always there; what is new of it is what changed.
        Change::Added(Object::Audio) => {
            let mut all = view.properties(Object::Audio, names::AUDIO_SESSION, open);
            number(&mut all, revision);
            let signal = Signal { path, interface: PROPERTIES, member: "PropertiesChanged" };
            Copies::new(signal, &(names::AUDIO_SESSION, all, [""; 0].as_slice()))
        }
        Change::Added(object) => {
            let mut interfaces = view.interfaces(*object, open);
            interfaces.values_mut().for_each(|properties| number(properties, revision));
            let body = (view.path(*object), interfaces);
            Copies::new(from_root(OBJECT_MANAGER, "InterfacesAdded"), &body)
        }
        Change::Changed(object, names) => {
            let interface = match object {
                Object::Audio => names::AUDIO_SESSION,
                other => interfaces_of(*other).first().copied().unwrap_or_default(),
            };
            let value = |name| super::properties::value(view, *object, interface, name, open);
            let named = names.iter().filter_map(|name| Some((*name, value(name)?)));
            let mut changed: Properties = named.collect();
            number(&mut changed, revision);
            let signal = Signal { path, interface: PROPERTIES, member: "PropertiesChanged" };
            Copies::new(signal, &(interface, changed, [""; 0].as_slice()))
        }
        Change::Removed(object) => {
            let body = (view.path(*object), interfaces_of(*object));
            Copies::new(from_root(OBJECT_MANAGER, "InterfacesRemoved"), &body)
        }
        Change::Transition { old, new, reason, .. } => {
            let signal = Signal { path, interface: names::CALL, member: "Transition" };
            Copies::new(signal, &(old.name(), new.name(), *reason, revision))
        }
        Change::Finished(id) => {
            let transaction = view.domain.and_then(|domain| domain.transaction(*id));
            let outcomes = transaction
                .map(|transaction| parse::outcomes(view.domain, transaction, open))
                .unwrap_or_default();
            let signal = Signal { path, interface: names::TRANSACTION, member: "Finished" };
            Copies::new(signal, &(outcomes, revision))
        }
        Change::Notice { kind, call } => {
            let body = (kind.name(), view.path_of_call(*call), sentence(*kind), revision);
            Copies::new(from_root(names::MANAGER, "Notice"), &body)
        }
    }
}

/// The change's own number: the object may have changed again in the same turn, when a deadline passed
/// just before, and that is a signal of its own.
fn number(properties: &mut Properties, revision: u64) {
    properties.insert("Revision", revision.into());
}

/// A notice for people; who shows it adds the name from the call, and may say it in another language.
fn sentence(notice: Notice) -> &'static str {
    match notice {
        Notice::HoldFailed => "This call could not be put on hold.",
        Notice::ResumeFailed => "This call could not be resumed and stays on hold.",
        Notice::StaysHeld => "This call stays on hold until you resume it.",
        Notice::ActiveWithoutAudio => "This call is connected, but another one has the audio.",
    }
}
