//! A bus of its own, and an arbiter that says what the test wants.
//!
//! The real daemon is tested with this crate in the workspace's `tests`; here are the situations that
//! it avoids: lost signals, restarts at the worst moment, strangers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, dead_code)]

use std::{
    collections::HashMap,
    future::Future,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use callarbiter_dbus::{Dict, names::*};
use futures_util::StreamExt;
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinHandle};
use zbus::{
    Message, MessageStream, ObjectPath, Variant,
    message::{Flags, Type},
};

/// A dbus-daemon that ends with the test.
pub struct Bus {
    daemon: Child,
    pub address: String,
    directory: TempDir,
}

impl Bus {
    pub fn start() -> Bus {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("unix:path={}", directory.path().join("bus").display());
        Bus { daemon: Bus::launch(&address), address, directory }
    }

    /// Another one at the same address: everybody has to connect again.
    pub fn restart(&mut self) {
        self.stop();
        let _ = std::fs::remove_file(self.directory.path().join("bus"));
        self.daemon = Bus::launch(&self.address);
    }

    fn launch(address: &str) -> Child {
        let mut daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address", "--address"])
            .arg(address)
            .stdout(Stdio::piped())
            .spawn()
            .expect("these tests need dbus-daemon");
        // It listens when it says where.
        let mut said = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut said).unwrap();
        daemon
    }

    pub fn stop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the fake answers.
#[derive(Clone)]
pub struct Script {
    pub epoch: &'static str,
    pub revision: u64,
    pub objects: HashMap<String, HashMap<String, Dict>>,
    /// Outcomes are told before the request is answered.
    pub finish_first: bool,
    /// Methods that get no answer at all.
    pub silent: &'static [&'static str],
    /// Methods that are refused, with the last part of the error's name.
    pub refused: &'static [(&'static str, &'static str)],
    /// Transactions are accepted and go on for ever.
    pub never_finishes: bool,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            epoch: "one",
            revision: 10,
            objects: HashMap::new(),
            finish_first: false,
            silent: &[],
            refused: &[],
            never_finishes: false,
        }
    }
}

/// Owns the arbiter's name until it is dropped.
pub struct Arbiter {
    pub bus: zbus::Connection,
    pub script: Arc<Mutex<Script>>,
    received: mpsc::UnboundedReceiver<Message>,
    task: JoinHandle<()>,
}

impl Arbiter {
    pub async fn start(bus: &Bus, script: Script) -> Arbiter {
        let connection = zbus::connection::Builder::address(&*bus.address).build().await.unwrap();
        let script = Arc::new(Mutex::new(script));
        let (sender, received) = mpsc::unbounded_channel();
        let messages = MessageStream::from(&connection);
        let task = tokio::spawn(serve(connection.clone(), messages, script.clone(), sender));
        connection.request_name(BUS_NAME).await.unwrap();
        Arbiter { bus: connection, script, received, task }
    }

    /// Leaves the bus, as a crash does.
    pub async fn vanish(self) {
        self.task.abort();
        self.bus.clone().close().await.unwrap();
    }

    /// The next call of this method; others before it are skipped.
    pub async fn expect(&mut self, member: &str) -> Message {
        within(async {
            loop {
                let message = self.received.recv().await.expect("the fake arbiter stopped");
                if message.header().member().unwrap().as_str() == member {
                    return message;
                }
            }
        })
        .await
    }

    pub async fn signal<B>(&self, to: &str, path: &str, interface: &str, member: &str, body: &B)
    where
        B: zbus::export::serde::Serialize + zbus::DynamicType,
    {
        self.bus.emit_signal(Some(to), path, interface, member, body).await.unwrap();
    }

    /// The next call of any method, and whose it is.
    pub async fn next(&mut self) -> (String, Message) {
        let message = within(self.received.recv()).await.expect("the fake arbiter stopped");
        let member = message.header().member().unwrap().to_string();
        (member, message)
    }

    /// A new call, as an observer hears of it.
    pub async fn add_call(&self, to: &str, n: u128, revision: u64) {
        let interfaces = HashMap::from([(CALL, call(revision))]);
        let path = ObjectPath::try_from(call_at(n)).unwrap();
        let object_manager = "org.freedesktop.DBus.ObjectManager";
        let body = (path, interfaces);
        self.signal(to, ROOT_PATH, object_manager, "InterfacesAdded", &body).await;
    }

    /// A call of a delegate's method: no reply is wanted.
    pub async fn ask<B>(&self, to: &Message, member: &str, body: &B)
    where
        B: zbus::export::serde::Serialize + zbus::DynamicType,
    {
        ask_from(&self.bus, to, member, body).await;
    }
}

impl Drop for Arbiter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Calls the delegate that a registration named.
pub async fn ask_from<B>(bus: &zbus::Connection, registration: &Message, member: &str, body: &B)
where
    B: zbus::export::serde::Serialize + zbus::DynamicType,
{
    let body_of_registration = registration.body();
    let (_, delegate, _): (&str, ObjectPath<'_>, Dict) =
        body_of_registration.deserialize().unwrap();
    let header = registration.header();
    let message = Message::method_call(delegate, member)
        .destination(header.sender().unwrap().to_owned())
        .interface(PROVIDER_DELEGATE)
        .with_flags(Flags::NO_REPLY_EXPECTED)
        .build(body)
        .unwrap();
    bus.send(&message).await.unwrap();
}

/// Nothing here takes longer than a moment; what does has failed.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("it took too long")
}

pub fn sender(message: &Message) -> String {
    message.header().sender().unwrap().to_string()
}

pub fn call_at(n: u128) -> String {
    call_object_path(uuid::Uuid::from_u128(n), None).to_string()
}

pub fn call(revision: u64) -> Dict {
    let mut properties = options([("State", "ringing")]);
    properties.insert("Revision".into(), Variant::from(revision).try_into_owned().unwrap());
    properties
}

pub fn options<const N: usize>(values: [(&str, &str); N]) -> Dict {
    let owned = |text: &str| Variant::from(text).try_into_owned().unwrap();
    values.into_iter().map(|(key, value)| (key.to_owned(), owned(value))).collect()
}

async fn serve(
    bus: zbus::Connection,
    mut messages: MessageStream,
    script: Arc<Mutex<Script>>,
    received: mpsc::UnboundedSender<Message>,
) {
    while let Some(Ok(message)) = messages.next().await {
        if message.message_type() != Type::MethodCall {
            continue;
        }
        let now = script.lock().unwrap().clone();
        let header = message.header();
        let member = header.member().unwrap().as_str();
        let path = |path: &str| ObjectPath::try_from(path.to_owned()).unwrap();
        let transaction = format!("{ROOT_PATH}/transaction/1");
        if let Some((_, error)) = now.refused.iter().find(|(refused, _)| *refused == member) {
            let name = format!("org.callarbiter.Calls1.Error.{error}");
            bus.reply_error(&header, name, &"refused by the fake").await.unwrap();
            let _ = received.send(message);
            continue;
        }
        let sent = match member {
            member if now.silent.contains(&member) => Ok(()),
            "Get" => bus.reply(&header, &Variant::from(now.epoch)).await,
            "Subscribe" => {
                let objects: HashMap<ObjectPath<'_>, _> =
                    now.objects.iter().map(|(name, object)| (path(name), object)).collect();
                bus.reply(&header, &(now.revision, objects)).await
            }
            "RegisterProvider" => {
                let state = options([("authorization", "authorized")]);
                bus.reply(&header, &(path(&format!("{ROOT_PATH}/provider/1")), state)).await
            }
            "RequestTransaction" => {
                let outcomes = vec![("Answer", options([("outcome", "fulfilled")]))];
                let to = sender(&message);
                let body = (outcomes, 11_u64);
                let finish =
                    bus.emit_signal(Some(&*to), &*transaction, TRANSACTION, "Finished", &body);
                let accepted = path(&transaction);
                let reply = bus.reply(&header, &accepted);
                if now.never_finishes {
                    reply.await
                } else if now.finish_first {
                    finish.await.unwrap();
                    reply.await
                } else {
                    reply.await.unwrap();
                    finish.await
                }
            }
            "StartCall" => bus.reply(&header, &path(&call_at(1))).await,
            "ReportIncomingCall" | "ReportCall" => bus.reply(&header, &path(&call_at(1))).await,
            _ => bus.reply(&header, &()).await,
        };
        sent.unwrap();
        let _ = received.send(message);
    }
}
