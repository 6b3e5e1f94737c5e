//! What an app behind a wall of bubblewrap learns of other apps' calls, on every way there is to ask or to hear of them:
//! nothing but that they exist, until it may control them. The user's word counts at once, both ways.

mod asked;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, anyhow, ensure};
use harness::{
    Cgroup, FakeAgent, FakeProvider, Launch, NAME, Options, Peer, Process, ROOT, Reported, action,
    built, eventually, interface, is, options, source,
};
use serde::Serialize;
use zbus::{DynamicType, Variant};

use crate::desk::Desk;
use crate::history::{self, open_app};
use crate::identity::walled;
use crate::lists;
use asked::{ASKED_OF_APPS, STANDARD, TABLE};

const BOXED: &str = "org.example.Boxed";

/// What people and apps say in this scene: who calls and is called, on which list, with which words, and whose headset
/// it is. Each is looked for in the bytes of every message.
const SECRETS: [&str; 6] =
    ["wonderland", "White Rabbit", "tea party", "*0451#", "Alice's ear", "snickersnack"];

#[tokio::test]
async fn until_it_may_control_calls_an_app_behind_a_wall_sees_that_there_are_some() -> Result<()> {
    let scene = Scene::set().await?;
    scene.every_method_has_an_entry()?;
    scene.learns_nothing("at first").await?;

    // The user's word opens the wall for the connection that is there.
    let known = scene.resyncs();
    scene.say("allow").await?;
    scene.told_to_look_again(known + 1).await?;
    let blind =
        scene.asks(|row| row.reveals).await?.into_iter().filter(|it| it.secrets().is_empty());
    let blind: Vec<String> = blind.map(|it| it.what).collect();
    assert_eq!(blind, [""; 0], "these show with control what they hide without");
    let panel = &scene.panel;
    panel.view().await?;
    panel.call::<_, ()>(&scene.ringing.path, "Call", "Silence", &()).await?;
    panel.hold(&scene.active.path).await?;
    panel.unhold(&scene.active.path).await?;
    let heard = scene.hears("with control").await?;
    assert!(!heard.is_empty(), "and hears it, too");

    // And shuts it again.
    let known = scene.resyncs();
    scene.say("deny").await?;
    scene.told_to_look_again(known + 1).await?;
    scene.learns_nothing("after it was taken back").await
}

/// The user's desk with an agent, a phone in calls, and a panel behind a wall that has a call of its own.
struct Scene {
    panel: Peer,
    own: FakeProvider,
    // After the connections whose processes are in them.
    _cgroups: [Cgroup; 2],
    ringing: Reported,
    active: Reported,
    over: Reported,
    /// What the phone was asked.
    request: String,
    /// In the history.
    missed: String,
    /// A finished transaction of the user's.
    transaction: String,
    own_call: Reported,
    user: Peer,
    audio: FakeAgent,
    _agent: Process,
    desk: Desk,
}

impl Scene {
    async fn set() -> Result<Scene> {
        let desk = Desk::new().await?;
        let agent = lists::agent(&desk, "consent,identity,history,lists,preferences").await?;
        let user = desk.bus().connect().await?;
        let audio = FakeAgent::with(desk.bus(), &["audio"]).await?;
        let headset = options([
            ("id", "headset".into()),
            ("name", "Alice's ear".into()),
            ("kind", "headset".into()),
        ]);
        let () =
            audio.peer.call(ROOT, "Manager", "SetEndpoints", &(vec![headset], "headset")).await?;
        // What only the agent knows, but for the entry that lets the rabbit through: that is in the reasons of his calls.
        for words in [
            ["allow", "add", "sip:white.rabbit@wonderland.example", "--reason", "snickersnack"]
                .as_slice(),
            ["block", "add", "sip:jabberwock@wonderland.example"].as_slice(),
            ["favourites", "add", "sip:dinah@wonderland.example"].as_slice(),
        ] {
            let (done, told) = history::callctl(&desk, words).await?;
            ensure!(done, "{words:?}: {told}");
        }
        let screens = async || agent.log().contains("took the roles screening").then_some(());
        eventually("the agent is asked about callers", screens).await?;
        let open = open_app(&desk, "org.example.Open").await?;
        let missed = history::missed(&open, "sip:hatter@wonderland.example").await?;
        history::has(&desk, std::slice::from_ref(&missed)).await?;

        let phone = &desk.phone;
        let over = ring(phone).await?;
        let told = options([("detail", "off to a tea party".into())]);
        let () = phone.tell("ReportEnded", &(&over.uuid, "remote-ended", told)).await?;
        let active = ring(phone).await?;
        user.answer(&active.path).await?;
        let request = phone.wait_asked("PerformAnswer", 1).await?.request;
        let tones =
            action("PlayDtmf", [("call", active.uuid.clone().into()), ("digits", "*0451#".into())]);
        let how = options([("wait", true.into())]);
        let transaction = user.request(&[tones], &how).await?;
        let ringing = ring(phone).await?;

        let (panel, wall) = connect(&desk).await?;
        let (app, behind) = connect(&desk).await?;
        let schemes = vec!["sip".to_owned()];
        let named =
            options([("display-name", "Panel".into()), ("supported-schemes", schemes.into())]);
        let own = FakeProvider::on(app, BOXED, &named).await?;
        let own_call = own.report_incoming("sip:ada@example.org").await?;
        Ok(Scene {
            panel,
            own,
            _cgroups: [wall, behind],
            ringing,
            active,
            over,
            request,
            missed,
            transaction,
            own_call,
            user,
            audio,
            _agent: agent,
            desk,
        })
    }

    /// How to start another process of the panel's.
    fn wall(&self) -> Result<Launch> {
        wall(&self.desk)
    }

    fn phone(&self) -> &FakeProvider {
        &self.desk.phone
    }

    /// The table is the contract: nothing is forgotten, and nothing in it is gone.
    fn every_method_has_an_entry(&self) -> Result<()> {
        let mut contract = BTreeSet::new();
        for file in fs::read_dir(source("dbus-interfaces/xml"))? {
            let text = fs::read_to_string(file?.path())?;
            let named = |line: &str, tag: &str| {
                let rest = line.trim().strip_prefix(tag)?.strip_prefix(" name=\"")?;
                Some(rest.split_once('"')?.0.to_owned())
            };
            let of = text.lines().find_map(|line| named(line, "<interface"));
            let of = of.context("a file of the contract describes an interface")?;
            let methods = text.lines().filter_map(|line| named(line, "<method"));
            contract.extend(methods.map(|method| (of.clone(), method)));
        }
        contract.retain(|(of, _)| !ASKED_OF_APPS.iter().any(|app| *of == interface(app)));
        let here = TABLE.iter().map(|row| (row.interface(), row.member.to_owned()));
        assert_eq!(here.collect::<BTreeSet<_>>(), contract);
        Ok(())
    }

    /// It may or may not control calls from now on, by the user's word.
    async fn say(&self, word: &str) -> Result<()> {
        let said = self.desk.callctl(&["apps", word, BOXED, "--control"]).await?;
        said.map(drop).map_err(|failure| anyhow!(failure))
    }

    fn resyncs(&self) -> usize {
        let all = self.panel.received();
        all.iter().filter(|message| is(message, "Manager", "ResyncNeeded")).count()
    }

    async fn told_to_look_again(&self, times: usize) -> Result<()> {
        let told = async || (self.resyncs() >= times).then_some(());
        eventually("its subscription has to begin anew", told).await
    }

    /// Whatever it asks and hears, no word of it is about people, and nothing of other apps' calls has moved.
    async fn learns_nothing(&self, when: &str) -> Result<()> {
        let calls = || async {
            let objects = self.user.view().await?.objects;
            let others = objects
                .into_iter()
                .filter(|(path, _)| path.contains("/call/") && *path != self.own_call.path);
            anyhow::Ok(others.collect::<BTreeMap<_, _>>())
        };
        let before = calls().await?;
        let mut wrong = Vec::new();
        for answer in self.asks(|_| true).await? {
            if answer.error != answer.expected {
                wrong.push(format!(
                    "{}: `{}` and not `{}`",
                    answer.what, answer.error, answer.expected
                ));
            }
            wrong.extend(
                answer.secrets().into_iter().map(|it| format!("{} tells {it}", answer.what)),
            );
        }
        assert_eq!(wrong, [""; 0], "{when}");
        assert_eq!(calls().await?, before, "{when}: nothing of other apps moves");
        let kept = history::kept(&self.desk).await;
        assert_eq!(kept.as_deref(), Some(&[self.missed.clone()][..]), "{when}");
        assert_eq!(self.hears(when).await?, [""; 0], "{when}");
        Ok(())
    }

    /// What it is told of people while the phone's calls come, change, and go.
    async fn hears(&self, when: &str) -> Result<Vec<String>> {
        let panel = &self.panel;
        panel.view().await?;
        let from = panel.received().len();
        let call = ring(self.phone()).await?;
        let renamed = options([("display-name", "The White Rabbit".into())]);
        let () = self.phone().tell("UpdateCall", &(&call.uuid, renamed)).await?;
        self.audio_moves().await?;
        let message = options([("message", "late for the tea party".into())]);
        self.user.call::<_, ()>(&call.path, "Call", "End", &message).await?;
        let gone = |message: &zbus::Message| {
            let body = message.body();
            let is_removal = message.header().member().is_some_and(|m| *m == "InterfacesRemoved");
            is_removal
                && body
                    .deserialize::<(zbus::OwnedObjectPath, Vec<String>)>()
                    .is_ok_and(|(path, _)| *path == *call.path)
        };
        panel.expect("the end of the call", gone).await?;
        let heard = panel.received().split_off(from);
        let kinds: BTreeSet<String> =
            heard.iter().filter_map(|m| Some(m.header().member()?.to_string())).collect();
        for kind in ["InterfacesAdded", "PropertiesChanged", "Transition", "Finished"] {
            ensure!(kinds.contains(kind), "{when}: it heard only {kinds:?}");
        }
        let told = heard.iter().flat_map(|message| {
            let member = message.header().member().map(ToString::to_string).unwrap_or_default();
            secrets(message.data()).into_iter().map(move |it| format!("{member} tells {it}"))
        });
        Ok(told.collect())
    }

    /// The list of endpoints changes.
    async fn audio_moves(&self) -> Result<()> {
        let named = |name: &str| {
            options([
                ("id", "headset".into()),
                ("name", name.to_owned().into()),
                ("kind", "headset".into()),
            ])
        };
        for name in ["Alice's ear piece", "Alice's ear"] {
            let all = (vec![named(name)], "headset");
            let () = self.audio.peer.call(ROOT, "Manager", "SetEndpoints", &all).await?;
        }
        Ok(())
    }

    /// Its answers to what the table asks, and to what any D-Bus service answers.
    async fn asks(&self, which: impl Fn(&asked::Row) -> bool) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        for row in TABLE.iter().chain(STANDARD).filter(|row| which(row)) {
            answers.extend(asked::ask(self, row).await.with_context(|| row.what())?);
        }
        Ok(answers)
    }

    /// One call of the panel's.
    async fn call<B>(&self, row: &asked::Row, path: &str, body: &B) -> Result<Answer>
    where
        B: Serialize + DynamicType,
    {
        let to = if row.interface().contains(".Agent1.") { history::AGENT } else { NAME };
        let peer = if row.about == asked::OWN { &self.own.peer } else { &self.panel };
        let (of, connection) = (row.interface(), &peer.connection);
        let reply = connection.call_method(Some(to), path, Some(&*of), row.member, body).await;
        let (error, bytes) = match reply {
            Ok(reply) => (String::new(), reply.data().to_vec()),
            Err(zbus::Error::MethodError(name, _, reply)) => {
                let short = name.strip_prefix(harness::ERROR).unwrap_or(&name).to_owned();
                (short, reply.data().to_vec())
            }
            Err(other) => return Err(other.into()),
        };
        let what = format!("{} at {path}", row.what());
        Ok(Answer { what, expected: row.without.to_owned(), error, bytes })
    }
}

/// What came back.
struct Answer {
    what: String,
    /// The error that it should be; empty for none.
    expected: String,
    error: String,
    bytes: Vec<u8>,
}

impl Answer {
    fn secrets(&self) -> Vec<&'static str> {
        secrets(&self.bytes)
    }
}

/// A connection of the panel's.
async fn connect(desk: &Desk) -> Result<(Peer, Cgroup)> {
    let relay = built("relay", "-p callarbiter-tests --bin relay")?;
    let folder = relay.parent().context("a program lies somewhere")?;
    let launch = wall(desk)?.arg("--ro-bind").arg(folder).arg(folder);
    let peer = desk.bus().connect_by(launch).await?;
    let cgroup = Cgroup::of_flatpak(BOXED, &peer).await?;
    Ok((peer, cgroup))
}

fn wall(desk: &Desk) -> Result<Launch> {
    walled(desk, Some(&format!("[Application]\nname={BOXED}\n")))
}

fn secrets(bytes: &[u8]) -> Vec<&'static str> {
    let within = |secret: &&str| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
    SECRETS.into_iter().filter(within).collect()
}

async fn ring(phone: &FakeProvider) -> Result<Reported> {
    let uuid = uuid::Uuid::new_v4().to_string();
    let update: Options = options([
        ("remote-handle", "sip:white.rabbit@wonderland.example".into()),
        ("display-name", Variant::from("White Rabbit")),
    ]);
    let path = phone.report_incoming_call(&uuid, &update).await?;
    Ok(Reported { uuid, path })
}
