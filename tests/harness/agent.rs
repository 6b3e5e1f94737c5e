//! An agent of the session that a test plays: it is asked, and answers what the test says.

use anyhow::Result;
use zbus::{Message, ObjectPath, OwnedVariant, Structure, Variant, message::Type};

use crate::{Bus, Options, Peer, ROOT, Refused, eventually, interface, options};

/// The path of its object.
const OBJECT: &str = "/agent";

/// An agent.
pub struct FakeAgent {
    /// Its connection.
    pub peer: Peer,
}

/// Something that an agent was asked.
#[derive(Clone, Debug)]
pub struct Errand {
    /// `RequestConsent`, `LookUp` …
    pub member: String,
    /// To be named in the answer.
    pub request: String,
    /// All arguments.
    pub arguments: Vec<OwnedVariant>,
}

impl Errand {
    /// A text among the arguments; empty if it is none.
    pub fn text(&self, at: usize) -> String {
        match self.arguments.get(at).map(|value| &**value) {
            Some(Variant::Str(text)) => text.to_string(),
            _ => String::new(),
        }
    }

    /// One of the options, as text.
    pub fn option(&self, key: &str) -> Option<String> {
        let Some(Variant::Dict(options)) = self.arguments.last().map(|value| &**value) else {
            return None;
        };
        let found = options.iter().find(|(known, _)| **known == Variant::from(key));
        found.map(|(_, value)| match value {
            Variant::Variant(value) => plain(value),
            other => plain(other),
        })
    }
}

fn plain(value: &Variant<'_>) -> String {
    match value {
        Variant::Str(text) => text.to_string(),
        Variant::ObjectPath(path) => path.to_string(),
        other => format!("{other:?}"),
    }
}

impl FakeAgent {
    /// One of the bus's ordinary user, which takes these roles.
    pub async fn with(bus: &Bus, roles: &[&str]) -> Result<FakeAgent> {
        let agent = FakeAgent { peer: bus.connect().await? };
        agent.take(roles).await?;
        Ok(agent)
    }

    /// Takes these roles.
    pub async fn take(&self, roles: &[&str]) -> Result<(), Refused> {
        let path = ObjectPath::from_static_str_unchecked(OBJECT);
        let registration = (path, roles, Options::new());
        let _: std::collections::HashMap<String, OwnedVariant> =
            self.peer.call(ROOT, "Manager", "RegisterAgent", &registration).await?;
        Ok(())
    }

    /// Everything that it was asked, in order.
    pub fn errands(&self) -> Vec<Errand> {
        self.peer.received().iter().filter_map(errand).collect()
    }

    /// Waits for the `nth` errand of this kind, counted from 1.
    pub async fn asked(&self, member: &str, nth: usize) -> Result<Errand> {
        let find = async || {
            let mut of_kind = self.errands().into_iter().filter(|errand| errand.member == member);
            of_kind.nth(nth - 1)
        };
        eventually(&format!("{member} is asked ({nth})"), find).await
    }

    /// Answers one.
    pub async fn answer<const N: usize>(
        &self,
        errand: &Errand,
        answer: [(&'static str, Variant<'static>); N],
    ) -> Result<(), Refused> {
        let reply = (errand.request.as_str(), options(answer));
        self.peer.call(ROOT, "Manager", "AgentReply", &reply).await
    }
}

fn errand(message: &Message) -> Option<Errand> {
    let header = message.header();
    let is_call = message.message_type() == Type::MethodCall;
    header.interface().filter(|of| is_call && of.as_str() == interface("Agent"))?;
    let body = message.body();
    let arguments: Structure<'_> = body.deserialize().ok()?;
    let arguments: Vec<OwnedVariant> =
        arguments.fields().iter().filter_map(|field| field.try_to_owned().ok()).collect();
    let member = header.member()?.to_string();
    let mut errand = Errand { member, request: String::new(), arguments };
    errand.request = errand.text(0);
    Some(errand)
}
