//! What agents of the session are asked: method calls to their objects that want no reply.
//!
//! Owns their form, and where each agent is asked. An agent answers with `AgentReply`; which answer counts, the
//! core decides.

use callarbiter_core::{
    AgentAnswer, AgentAsk, AudioApp, AudioPicture, Authorization, CallId, Domain, Endpoint, Ground,
    Millis, Missed, Peer, Private, Provider, ProviderId, Record, Records, Uid, Verdict,
};
use callarbiter_dbus::{
    self as wire, Error,
    names::{self, AGENT},
    words,
};
use callarbiter_wire::{Body, Head, Outgoing, compose};
use zbus::{OwnedObjectPath, message::Type, names::OwnedUniqueName};

use super::{
    explain,
    identities::Stranger,
    peers::Peers,
    properties,
    router::Router,
    turn::{Turn, built},
    views::View,
};

impl Router {
    /// Asks an agent; one that has left, or does not read, is not asked, and a deadline says so.
    pub(super) fn ask_agent(
        &mut self,
        turn: &mut Turn,
        uid: Uid,
        peer: Peer,
        request: &str,
        ask: &AgentAsk,
        deadline: Millis,
    ) {
        let (Some(name), Some(path)) = (self.peers.name(peer), self.agents.get(&peer)) else {
            return;
        };
        let agent = Agent { name, path };
        let asked = agent.ask(&self.view(uid), &self.peers, request, ask, deadline);
        self.tell_agent(turn, uid, peer, asked);
    }

    /// False: it is not told, because it does not read what it was told before.
    pub(super) fn tell_agent(
        &mut self,
        turn: &mut Turn,
        uid: Uid,
        peer: Peer,
        message: zbus::Result<Outgoing>,
    ) -> bool {
        let message = built(message);
        let message = message.filter(|message| self.affords(turn.now, uid, peer, message));
        let told = message.is_some();
        if let Some(message) = message {
            self.send(turn.now, uid, peer, message, &mut turn.rest);
        }
        told
    }
}

/// An answer in the core's words.
pub fn answer(given: wire::AgentAnswer) -> Result<AgentAnswer, Error> {
    let private = |text: Option<String>| text.map(|text| Private::from(text.as_str()));
    let message = given.message.unwrap_or_default();
    Ok(AgentAnswer {
        error: given.error.map(|_| Private::from(message.as_str())),
        authorization: given.authorization.map(authorization).transpose()?,
        name: private(given.name),
        contact: private(given.contact_id),
        enforced: given.enforced,
        verdict: given.verdict.map(verdict).transpose()?,
        urgent: given.urgent,
        ground: given.reason.map(ground).transpose()?.unwrap_or_default(),
        detail: private(given.detail).unwrap_or_default(),
        silent: given.muted.iter().map(|path| provider(path)).collect::<Result<_, _>>()?,
    })
}

fn verdict(word: words::Verdict) -> Result<Verdict, Error> {
    match word {
        words::Verdict::Allow => Ok(Verdict::Allow),
        words::Verdict::Reject => Ok(Verdict::Reject),
        words::Verdict::Silence => Ok(Verdict::Silence),
        words::Verdict::Other(_) => {
            Err(Error::invalid_argument("`verdict` must be one of allow, reject, silence"))
        }
    }
}

fn ground(word: words::Ground) -> Result<Ground, Error> {
    match word {
        words::Ground::List => Ok(Ground::List),
        words::Ground::Anonymous => Ok(Ground::Anonymous),
        words::Ground::Screening => Ok(Ground::Screening),
        words::Ground::Other(_) => {
            Err(Error::invalid_argument("`reason` must be one of block-list, anonymous, screening"))
        }
    }
}

/// A provider that an agent names.
pub fn provider(path: &str) -> Result<ProviderId, Error> {
    match names::Object::parse(path) {
        Some(names::Object::Provider(number)) => Ok(ProviderId(number)),
        _ => Err(Error::invalid_argument(
            "this is not the path of a provider; take them from ApplyAudio",
        )),
    }
}

/// A place where the sound can go.
pub fn endpoint(dict: &wire::Dict) -> Result<Endpoint, Error> {
    let wire::Endpoint { id, name, kind } = wire::Endpoint::from_dict(dict)?;
    Ok(Endpoint { id: id.into(), name: name.as_str().into(), kind: kind.as_str().into() })
}

/// What the user decided, or that they did not; the administrator's word is not theirs.
pub fn authorization(word: words::Authorization) -> Result<Authorization, Error> {
    match word {
        words::Authorization::Authorized => Ok(Authorization::Authorized),
        words::Authorization::Denied => Ok(Authorization::Denied),
        words::Authorization::NotDetermined => Ok(Authorization::NotDetermined),
        words::Authorization::Restricted | words::Authorization::Other(_) => {
            Err(Error::invalid_argument(
                "`authorization` must be one of authorized, denied, not-determined",
            ))
        }
    }
}

/// The object of an agent.
#[derive(Clone, Copy, Debug)]
pub struct Agent<'a> {
    /// Its connection.
    pub name: &'a OwnedUniqueName,
    /// Its object.
    pub path: &'a OwnedObjectPath,
}

impl Agent<'_> {
    fn ask(
        self,
        view: &View<'_>,
        peers: &Peers,
        request: &str,
        ask: &AgentAsk,
        deadline: Millis,
    ) -> zbus::Result<Outgoing> {
        let mut body = Body::default();
        body.str(request);
        let (member, signature) = match ask {
            AgentAsk::Consent { app, provider } => {
                body.str(app);
                let provider = view.domain.and_then(|domain| domain.provider(*provider));
                options(&mut body, deadline, |body| about_provider(body, provider));
                ("RequestConsent", "ssa{sv}")
            }
            AgentAsk::Launch { app, call, handle } => {
                body.str(app);
                body.str(handle.reveal());
                options(&mut body, deadline, |body| {
                    body.key("call");
                    body.a_path(&view.path_of_call(*call));
                });
                ("LaunchProvider", "sssa{sv}")
            }
            AgentAsk::LookUp { handle, .. } => {
                body.str(handle.reveal());
                options(&mut body, deadline, |_| ());
                ("LookUp", "ssa{sv}")
            }
            AgentAsk::Audio(AudioPicture { generation, apps }) => {
                body.u64(*generation);
                body.array(4, |body| apps.iter().for_each(|app| audio_app(body, view, peers, app)));
                options(&mut body, deadline, |_| ());
                ("ApplyAudio", "staa{sv}a{sv}")
            }
            AgentAsk::SelectEndpoint { endpoint } => {
                body.str(endpoint);
                options(&mut body, deadline, |_| ());
                ("SelectEndpoint", "ssa{sv}")
            }
            AgentAsk::Record { number } => {
                let record = view.domain.and_then(|domain| domain.record(*number));
                body.array(8, |body| {
                    record.into_iter().for_each(|it| about_call(body, view.domain, it));
                });
                options(&mut body, deadline, |_| ());
                ("Record", "sa{sv}a{sv}")
            }
            AgentAsk::Screen { call, handle } => {
                body.str(handle.reveal());
                options(&mut body, deadline, |body| {
                    body.key("call");
                    body.a_path(&view.path_of_call(*call));
                    about_caller(body, view, *call);
                });
                ("Screen", "ssa{sv}")
            }
        };
        self.call(member, signature, &body)
    }

    /// Which app a process is.
    pub fn identify(
        self,
        request: &str,
        stranger: &Stranger,
        declared: &str,
        unit: &str,
        deadline: Millis,
    ) -> zbus::Result<Outgoing> {
        let mut body = Body::default();
        body.str(request);
        body.u32(stranger.pid);
        options(&mut body, deadline, |body| {
            for (key, text) in
                [("declared", declared), ("unit", unit), ("sandbox", stranger.sandbox)]
            {
                body.key(key);
                body.a_str(text);
            }
        });
        self.call("Identify", "sua{sv}", &body)
    }

    fn call(self, member: &str, signature: &str, body: &Body) -> zbus::Result<Outgoing> {
        let head = Head {
            kind: Type::MethodCall,
            no_reply: true,
            path: self.path,
            interface: AGENT,
            member,
            to: self.name,
            signature,
            ..Head::default()
        };
        compose(&head, body)
    }
}

/// The last argument of every method.
fn options(body: &mut Body, deadline: Millis, more: impl FnOnce(&mut Body)) {
    body.array(8, |body| {
        body.key("deadline");
        body.a_u32(deadline.0);
        more(body);
    });
}

/// How the streams of an app with calls are to be treated.
fn audio_app(body: &mut Body, view: &View<'_>, peers: &Peers, app: &AudioApp) {
    body.array(8, |body| {
        body.key("provider");
        body.a_shown_path(names::Object::Provider(app.provider.0));
        if let Some(provider) = view.domain.and_then(|domain| domain.provider(app.provider)) {
            body.key("app-id");
            body.a_str(&provider.app);
            let client = provider.peer.and_then(|peer| peers.client(peer));
            if let Some(pid) = client.and_then(|client| client.pid) {
                body.key("pid");
                body.a_u32(pid);
            }
        }
        for (key, set) in [("audio", app.audio), ("silence", app.silence)] {
            body.key(key);
            body.a_bool(set);
        }
    });
}

/// What a person who is asked should know; of one that has left, nothing.
fn about_provider(body: &mut Body, provider: Option<&Provider>) {
    let Some(provider) = provider else { return };
    body.key("provider");
    body.a_shown_path(names::Object::Provider(provider.id.0));
    let configuration = &provider.configuration;
    for (key, text) in [
        ("app-id-source", properties::source(provider.source)),
        ("display-name", &configuration.display_name),
        ("icon", &configuration.icon),
        ("usage-description", &configuration.usage_description),
    ] {
        body.key(key);
        body.a_str(text);
    }
}

/// Who calls, and through what.
fn about_caller(body: &mut Body, view: &View<'_>, call: CallId) {
    let Some(domain) = view.domain else { return };
    let Some(call) = domain.call(call) else { return };
    body.key("provider");
    body.a_shown_path(names::Object::Provider(call.provider.0));
    body.key("display-name");
    body.a_str(call.name.reveal());
    if let Some(provider) = domain.provider(call.provider) {
        body.key("app-id");
        body.a_str(&provider.app);
    }
}

/// What is left of a call; what says nothing is absent.
fn about_call(body: &mut Body, domain: Option<&Domain>, record: &Record) {
    body.key("id");
    body.a_shown(record.id());
    body.key("call");
    body.an_id(record.uuid);
    for (key, text) in [
        ("app-id", &*record.app),
        ("provider-name", &record.provider_name),
        ("direction", record.direction.name()),
        ("handle", record.handle.reveal()),
        ("display-name", record.name.reveal()),
        ("contact-id", record.contact.reveal()),
        ("reason", record.reason.name()),
        ("detail", record.detail.reveal()),
        ("missed", record.missed.map_or("", Missed::name)),
        ("silenced", record.silenced.name()),
        ("records", record.records.name()),
    ] {
        if !text.is_empty() {
            body.key(key);
            body.a_str(text);
        }
    }
    for (key, at) in [
        ("created-at", record.created_at),
        ("connected-at", record.connected_at),
        ("ended-at", record.ended_at),
    ] {
        if at != 0 {
            body.key(key);
            body.a_u64(at);
        }
    }
    for (key, set) in [("emergency", record.emergency), ("has-video", record.video)] {
        if set {
            body.key(key);
            body.a_bool(set);
        }
    }
    if record.lost != 0 {
        body.key("lost");
        body.a_u32(record.lost);
    }
    if domain.is_some_and(|domain| domain.why(record.call).is_some()) {
        body.key("why");
        body.dicts(|body| {
            explain::causes(body, domain, record.call, record.records == Records::Full);
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use callarbiter_core::{Arbiter, ProviderId, Settings};
    use callarbiter_dbus::xml;
    use zbus::{message::Flags, names::UniqueName};

    use super::*;
    use crate::bus::{contract, subscribers::Subscribers};

    #[test]
    fn calls_are_what_the_interface_file_says_and_want_no_reply() {
        let name: OwnedUniqueName = UniqueName::try_from(":1.5").unwrap().into();
        let path = OwnedObjectPath::try_from("/agent").unwrap();
        let agent = Agent { name: &name, path: &path };
        let (arbiter, subscribers) = (Arbiter::new(Settings::default()), Subscribers::default());
        let view = View {
            domain: None,
            arbiter: &arbiter,
            epoch: "",
            uid: Uid(1),
            subscribers: &subscribers,
        };
        let app = AudioApp { provider: ProviderId(1), audio: true, silence: false };
        let asks = [
            AgentAsk::Consent { app: "a".into(), provider: ProviderId(1) },
            AgentAsk::Launch { app: "a".into(), call: CallId(1), handle: "tel:1".into() },
            AgentAsk::LookUp { call: CallId(1), handle: "tel:1".into() },
            AgentAsk::Audio(AudioPicture::default()),
            AgentAsk::Audio(AudioPicture { generation: 7, apps: vec![app, app] }),
            AgentAsk::SelectEndpoint { endpoint: "sink".into() },
            AgentAsk::Record { number: 0 },
            AgentAsk::Screen { call: CallId(1), handle: "tel:1".into() },
        ];
        let methods = contract::methods_of(xml::AGENT);
        let stranger = Stranger { pid: 1, sandbox: "" };
        let identify = agent.identify("p-i1", &stranger, "a", "", Millis(5));
        let peers = Peers::default();
        let asked = asks.iter().map(|ask| agent.ask(&view, &peers, "p-1", ask, Millis(5)));
        for message in asked.chain([identify]) {
            let message = message.unwrap().read().unwrap();
            let header = message.header();
            let member = header.member().unwrap().as_str();
            let types = message.body().signature().to_string_no_parens();
            assert_eq!(types, *methods.get(member).unwrap(), "{member}");
            assert_eq!(message.primary_header().flags(), Flags::NO_REPLY_EXPECTED);
        }
    }
}
