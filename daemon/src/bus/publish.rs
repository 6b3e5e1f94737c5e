//! What changed, told to those who subscribed: one signal for each change, unicast, in order.
//!
//! Owns the form of signals and who gets which. A signal is written once and addressed to each. A personal
//! word is never broadcast: on a system bus every user could read it.

use callarbiter_core::{Change, Notice, Now, Object, Peer, Uid};
use callarbiter_dbus::names;
use callarbiter_wire::{Body, Head, Outgoing, compose};
use tracing::{debug, error};
use zbus::{Message, names::OwnedUniqueName};

use super::{
    debts::Credit,
    described, parse,
    router::Router,
    subscribers::Standing,
    views::{View, interfaces_of},
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
        out: &mut Vec<Outgoing>,
    ) {
        let object = subject(change);
        let mut receivers: Vec<Peer> = self.subscribers.of(uid, object).collect();
        if let Change::Finished(transaction) = change {
            let requester = self.requesters.get(&(uid, *transaction)).copied();
            receivers.extend(requester.filter(|peer| !receivers.contains(peer)));
        }
        for (peer, signal) in self.signals(uid, revision, change, &receivers) {
            let bytes = signal.length();
            if !self.affords(now, uid, peer, &signal) {
                self.subscribers.suspend(uid, peer);
                self.resync_later(now, uid, peer);
                continue;
            }
            let serial = signal.serial();
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
    ) -> Vec<(Peer, Outgoing)> {
        let view = self.view(uid);
        let object = subject(change);
        let mut forms: [Option<Signal>; 2] = [None, None];
        let mut signals = Vec::with_capacity(receivers.len());
        for peer in receivers {
            let Some(client) = self.peers.client(*peer) else { continue };
            let open = view.reveals(client, object)
                || matches!(change, Change::Finished(id)
                    if self.requesters.get(&(uid, *id)) == Some(peer));
            let [closed_form, open_form] = &mut forms;
            let form = if open { open_form } else { closed_form };
            let form = form.get_or_insert_with(|| signal(&view, revision, change, open));
            match form.to(&client.name) {
                Ok(signal) => signals.push((*peer, signal)),
                Err(reason) => {
                    error!(%reason, "a change could not be put into a signal");
                    return signals;
                }
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
        message: Outgoing,
        out: &mut Vec<Outgoing>,
    ) {
        let ask = self.debts.sent(now.mono, uid, peer, message.length());
        out.push(message);
        let Some(name) = self.peers.name(peer).filter(|_| ask) else { return };
        match ping(name) {
            Ok(question) => {
                self.debts.asked(uid, peer, question.serial());
                out.push(question);
            }
            Err(reason) => error!(%reason, "a connection could not be asked"),
        }
    }

    /// Tells a subscriber that it missed something, or will from here on.
    pub(super) fn resync(&mut self, now: Now, uid: Uid, peer: Peer, out: &mut Vec<Outgoing>) {
        let Some(name) = self.peers.name(peer) else { return };
        debug!(uid = uid.0, "a subscriber did not keep up and has to resynchronise");
        let signal = Message::signal(names::ROOT_PATH, names::MANAGER, "ResyncNeeded")
            .destination(name.as_ref())
            .build(&self.view(uid).revision());
        match signal.map(Outgoing::from) {
            Ok(signal) if self.affords(now, uid, peer, &signal) => {
                self.subscribers.told(uid, peer, signal.serial());
                self.send(now, uid, peer, signal, out);
            }
            Ok(_) => self.resync_later(now, uid, peer),
            Err(reason) => error!(%reason, "ResyncNeeded could not be built"),
        }
    }

    /// Whether a message may be sent to a connection that has much unread.
    pub(super) fn affords(&mut self, now: Now, uid: Uid, peer: Peer, message: &Outgoing) -> bool {
        self.debts.credit(now.mono, uid, peer, message.length()) == Credit::Good
    }
}

fn ping(name: &OwnedUniqueName) -> zbus::Result<Outgoing> {
    let ping = Message::method_call("/", "Ping").interface(PEER).destination(name.as_ref());
    ping.build(&()).map(Outgoing::from)
}

/// The object that a change is about.
fn subject(change: &Change) -> Object {
    match change {
        Change::Added(object) | Change::Changed(object, _) | Change::Removed(object) => *object,
        Change::Transition { call, .. } | Change::Notice { call, .. } => Object::Call(*call),
        Change::Finished(transaction) => Object::Transaction(*transaction),
    }
}

/// A signal, ready to be addressed to any number of receivers.
struct Signal {
    path: String,
    interface: &'static str,
    member: &'static str,
    signature: &'static str,
    body: Body,
}

impl Signal {
    fn to(&self, receiver: &str) -> zbus::Result<Outgoing> {
        let head = Head {
            path: &self.path,
            interface: self.interface,
            member: self.member,
            signature: self.signature,
            to: receiver,
            ..Head::default()
        };
        compose(&head, &self.body)
    }
}

fn signal(view: &View<'_>, revision: u64, change: &Change, open: bool) -> Signal {
    let mut body = Body::default();
    let (object, from_root) = (subject(change), names::ROOT_PATH.to_owned());
    let path = || view.name(object).to_string();
    let (path, interface, member, signature) = match change {
        // The root object is always there; what is new of it is what changed.
        Change::Added(Object::Audio) => {
            let interface = names::AUDIO_SESSION;
            body.str(interface);
            described::properties(&mut body, view, object, &[interface], open, Some(revision));
            body.array(4, |_| ());
            (path(), PROPERTIES, "PropertiesChanged", "sa{sv}as")
        }
        Change::Added(_) => {
            body.shown(view.name(object));
            described::interfaces(&mut body, view, object, open, Some(revision));
            (from_root, OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}")
        }
        Change::Changed(_, names) => {
            let interface = match object {
                Object::Audio => names::AUDIO_SESSION,
                other => interfaces_of(other).first().copied().unwrap_or_default(),
            };
            body.str(interface);
            body.array(8, |body| {
                for name in names {
                    described::property(body, view, object, interface, name, open, Some(revision));
                }
            });
            body.array(4, |_| ());
            (path(), PROPERTIES, "PropertiesChanged", "sa{sv}as")
        }
        Change::Removed(_) => {
            body.shown(view.name(object));
            body.array(4, |body| interfaces_of(object).iter().for_each(|name| body.str(name)));
            (from_root, OBJECT_MANAGER, "InterfacesRemoved", "oas")
        }
        Change::Transition { old, new, reason, .. } => {
            body.str(old.name());
            body.str(new.name());
            body.str(reason);
            body.u64(revision);
            (path(), names::CALL, "Transition", "ssst")
        }
        Change::Finished(id) => {
            let transaction = view.domain.and_then(|domain| domain.transaction(*id));
            let outcomes = transaction
                .map(|transaction| parse::outcomes(view.domain, transaction, open))
                .unwrap_or_default();
            body.entries(&outcomes);
            body.u64(revision);
            (path(), names::TRANSACTION, "Finished", "a(sa{sv})t")
        }
        Change::Notice { kind, .. } => {
            body.str(kind.name());
            body.shown(view.name(object));
            body.str(sentence(*kind));
            body.u64(revision);
            (from_root, names::MANAGER, "Notice", "sost")
        }
    };
    Signal { path, interface, member, signature, body }
}

/// A notice for people; who shows it adds the name from the call, and may say it in another language.
fn sentence(notice: Notice) -> &'static str {
    match notice {
        Notice::HoldFailed => "This call could not be put on hold.",
        Notice::ResumeFailed => "This call could not be resumed and stays on hold.",
        Notice::StaysHeld => "This call stays on hold until you resume it.",
        Notice::ActiveWithoutAudio => "This call is connected, but another one has the audio.",
        Notice::StreamingWithoutAudio => {
            "The app of this call plays or records although another call has the audio."
        }
        Notice::AnswersItself => "This call is about to be answered by itself.",
    }
}
