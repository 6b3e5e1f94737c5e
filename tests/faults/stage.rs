//! One case on a real bus with the real daemon: decisions are carried out one after the other, each when all
//! that followed from the one before has come to rest, so that a seed plays the same way each time.
//!
//! Owns what a decision does and what must be true between them.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use harness::{
    ALLOW, Action, App, Arbiter, Bus, Known, Options, PATIENCE, Peer, ROOT, Refused, Witness,
    action, eventually, options,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;
use zbus::{OwnedObjectPath, Variant};

use crate::plan::{self, APPS, CALLS, CONTROLLERS, Decision, Line, Wish};

/// Short, so that what hangs is over soon; long against what a turn takes on a busy machine.
const DEADLINES: &str = "[deadlines]\nstart-ms = 300\nanswer-ms = 300\nend-ms = 300\nset-held-ms = 300\n\
    play-dtmf-ms = 300\nother-ms = 300\ngrace-ms = 300\naudio-grant-ms = 300\naudio-release-ms = 300\n\
    dialing-ms = 600\ntransaction-ms = 60000\n[limits]\nreports-per-second = 10000\n";

/// What was done, for whoever reads the test's words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub decisions: usize,
    pub requests: usize,
    pub changes: u64,
    pub wishes: usize,
    pub refused: usize,
    pub kills: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.decisions += other.decisions;
        self.requests += other.requests;
        self.changes += other.changes;
        self.wishes += other.wishes;
        self.refused += other.refused;
        self.kills += other.kills;
    }
}

/// Plays one case to its end.
pub async fn play(seed: u64) -> Result<Counts> {
    let mut stage = Stage::set().await?;
    for (n, decision) in plan::of(seed).iter().enumerate() {
        let what = || format!("decision {n}, {decision:?}");
        stage.carry_out(decision).await.with_context(what)?;
        stage.settle().await.with_context(what)?;
        stage.counts.decisions += 1;
    }
    stage.end().await.context("the end of the case")?;
    let Stage { apps, witness, mut counts, .. } = stage;
    counts.requests = apps.iter().map(|app| app.requests).sum();
    counts.changes = witness.changes;
    Ok(counts)
}

struct Stage {
    // First of all the connections, then the daemon and its bus.
    apps: Vec<App>,
    controllers: Vec<Controller>,
    witness: Witness,
    judge: Peer,
    arbiter: Arbiter,
    wishes: Vec<Pending>,
    /// How many calls each line has had.
    calls: HashMap<Line, u32>,
    counts: Counts,
}

struct Controller {
    peer: Arc<Peer>,
    /// Its last transaction with a token.
    token: Option<(Vec<Action>, String)>,
}

/// A call to the daemon whose reply is still to come.
struct Pending {
    reply: JoinHandle<Result<Option<String>, Refused>>,
    kills: usize,
    /// With a token: it may be said again.
    again: Option<(Arc<Peer>, Vec<Action>, String)>,
}

impl Stage {
    async fn set() -> Result<Stage> {
        let config = format!("{ALLOW}{DEADLINES}");
        let arbiter = Arbiter::on(Bus::session().await?, &config).await?;
        let witness = Witness::subscribe(&arbiter.bus).await?;
        let judge = arbiter.bus.connect().await?;
        let apps = (0..APPS).map(|n| App::new(&format!("org.example.App{n}"))).collect();
        let mut controllers = Vec::new();
        for _ in 0..CONTROLLERS {
            controllers.push(Controller::new(&arbiter.bus).await?);
        }
        let (wishes, calls, counts) = (Vec::new(), HashMap::new(), Counts::default());
        Ok(Stage { apps, controllers, witness, judge, arbiter, wishes, calls, counts })
    }

    async fn carry_out(&mut self, decision: &Decision) -> Result<()> {
        let none = Options::new();
        match *decision {
            Decision::Rings(line) => {
                let uuid = self.new_call(line);
                let update = options([("remote-handle", "sip:rabbit@example.org".into())]);
                let app = &mut self.apps[line.app];
                app.calls.entry(uuid.clone()).or_insert("ringing");
                app.tell("ReportIncomingCall", &(uuid, update)).await
            }
            Decision::Lives(line, state) => {
                let direction = if state == "ringing" { "incoming" } else { "outgoing" };
                let uuid = self.new_call(line);
                let app = &mut self.apps[line.app];
                app.calls.insert(uuid.clone(), state);
                app.tell("ReportCall", &(uuid, direction, state, none)).await
            }
            Decision::Says(line, state) => {
                let uuid = self.uuid_of(line);
                let app = &mut self.apps[line.app];
                if let Some(truth) = app.calls.get_mut(&uuid) {
                    *truth = state;
                }
                app.tell("ReportState", &(uuid, state, none)).await
            }
            Decision::Hears(line) => {
                let held = options([("remote-held", true.into())]);
                self.apps[line.app].tell("ReportState", &(self.uuid_of(line), "", held)).await
            }
            Decision::Ends(line, reason) => {
                let uuid = self.uuid_of(line);
                let app = &mut self.apps[line.app];
                app.calls.remove(&uuid);
                app.tell("ReportEnded", &(uuid, reason, none)).await
            }
            Decision::Turns(app, mood) => {
                self.apps[app].mood = mood;
                Ok(())
            }
            Decision::Remembers(app, memory) => {
                self.apps[app].memory = memory;
                Ok(())
            }
            Decision::Answers(app) => self.apps[app].answer().await,
            Decision::Repeats(app) => self.apps[app].repeat().await,
            Decision::Dies(app) => self.lose(app).await,
            Decision::Revives(app) => self.revive(app).await,
            Decision::Unregisters(app) => {
                self.apps[app].calls.clear();
                self.apps[app].audio = None;
                self.apps[app].tell("Unregister", &()).await?;
                self.settle().await?;
                self.lose(app).await
            }
            Decision::Wants { controller, wish, line, other, token } => {
                self.want(controller, wish, line, other, token);
                Ok(())
            }
            Decision::WantsAgain(controller) => {
                let controller = &self.controllers[controller];
                if let Some((actions, token)) = controller.token.clone() {
                    self.request(controller.peer.clone(), actions, Some(token));
                }
                Ok(())
            }
            Decision::Leaves(controller) => {
                // Its replies are nobody's any more.
                self.hear_out().await?;
                self.controllers[controller] = Controller::new(&self.arbiter.bus).await?;
                Ok(())
            }
            Decision::Kill { at_once } => self.kill(at_once).await,
            Decision::Rest => self.rest().await,
        }
    }

    /// The same in every case of a seed.
    fn uuid_of(&self, line: Line) -> String {
        let nth = self.calls.get(&line).copied().unwrap_or_default();
        let number = (line.app as u128) << 64 | (line.call as u128) << 32 | u128::from(nth);
        Uuid::from_u128(number).to_string()
    }

    /// A call that is there, in this state if there is one: mostly a wish should be one that can come true.
    fn meant(&self, line: Line, state: &str) -> String {
        let all = || self.apps.iter().flat_map(|app| &app.calls);
        let fitting: Vec<&String> =
            all().filter(|(_, is)| **is == state).map(|(uuid, _)| uuid).collect();
        let any: Vec<&String> = all().map(|(uuid, _)| uuid).collect();
        let from = if fitting.is_empty() { any } else { fitting };
        match from.get((line.app * CALLS + line.call) % from.len().max(1)) {
            Some(uuid) => (*uuid).clone(),
            None => self.uuid_of(line),
        }
    }

    /// The call that the app has on this line, or a new one.
    fn new_call(&mut self, line: Line) -> String {
        if !self.apps[line.app].calls.contains_key(&self.uuid_of(line)) {
            *self.calls.entry(line).or_default() += 1;
        }
        self.uuid_of(line)
    }

    async fn revive(&mut self, app: usize) -> Result<()> {
        if self.apps[app].peer.is_some() {
            return Ok(());
        }
        // The bus may not have told yet that the one before is gone.
        eventually("the app is back", async || self.apps[app].revive(&self.arbiter.bus).await.ok())
            .await
    }

    async fn lose(&mut self, app: usize) -> Result<()> {
        let Some(name) = self.apps[app].peer.as_ref().map(Peer::name) else { return Ok(()) };
        self.apps[app].die();
        eventually("the bus knows that it is gone", async || {
            let alive: bool = self.judge.bus("NameHasOwner", &name).await.ok()?;
            (!alive).then_some(())
        })
        .await
    }

    fn want(&mut self, controller: usize, wish: Wish, line: Line, other: Line, token: bool) {
        let fitting = match wish {
            Wish::Answer => "ringing",
            Wish::Unhold => "held",
            Wish::End | Wish::Silence | Wish::Start | Wish::EndAndAnswer => "",
            _ => "active",
        };
        let second = if wish == Wish::EndAndAnswer { "ringing" } else { "held" };
        let (call, with) = (self.meant(line, fitting), self.meant(other, second));
        let on = |name, uuid: &str| action(name, [("call", uuid.to_owned().into())]);
        let flag = |name, uuid: &str, key, value: bool| {
            action(name, [("call", uuid.to_owned().into()), (key, value.into())])
        };
        let actions = match wish {
            Wish::Answer => vec![on("Answer", &call)],
            Wish::End => vec![on("End", &call)],
            Wish::Hold => vec![flag("SetHeld", &call, "held", true)],
            Wish::Unhold => vec![flag("SetHeld", &call, "held", false)],
            Wish::Mute => vec![flag("SetMuted", &call, "muted", token)],
            Wish::Tones => {
                vec![action("PlayDtmf", [("call", call.into()), ("digits", "1".into())])]
            }
            Wish::Join => vec![action("SetGroup", [("call", call.into()), ("with", with.into())])],
            Wish::Leave => vec![action("SetGroup", [("call", call.into()), ("with", "".into())])],
            Wish::Silence => vec![on("Silence", &call)],
            Wish::Start => {
                let call = self.new_call(line);
                vec![action(
                    "Start",
                    [
                        ("handle", "sip:hatter@example.org".into()),
                        ("provider", self.apps[line.app].id.clone().into()),
                        ("call", call.into()),
                    ],
                )]
            }
            Wish::Swap => {
                vec![flag("SetHeld", &call, "held", true), flag("SetHeld", &with, "held", false)]
            }
            Wish::EndAndAnswer => vec![on("End", &call), on("Answer", &with)],
        };
        // Numbered, so that a seed says the same again.
        let token = token.then(|| Uuid::from_u128(self.counts.wishes as u128 + 1).to_string());
        let controller = &mut self.controllers[controller];
        if let Some(token) = &token {
            controller.token = Some((copies(&actions), token.clone()));
        }
        let peer = controller.peer.clone();
        self.request(peer, actions, token);
    }

    fn request(&mut self, peer: Arc<Peer>, actions: Vec<Action>, token: Option<String>) {
        self.counts.wishes += 1;
        let again = token.clone().map(|token| (peer.clone(), copies(&actions), token));
        let reply = tokio::spawn(requested(peer, actions, token));
        self.wishes.push(Pending { reply, kills: self.counts.kills, again });
    }

    /// Kills the daemon and starts it again; everybody is still there, and nothing is lost.
    async fn kill(&mut self, at_once: bool) -> Result<()> {
        if !at_once {
            self.settle().await?;
        }
        let resyncs = self.witness.resyncs;
        self.counts.kills += 1;
        self.arbiter.crash_and_restart().await?;
        eventually("the subscriber is told to begin anew", async || {
            if self.witness.read().await.is_err() {
                return Some(());
            }
            (self.witness.resyncs > resyncs).then_some(())
        })
        .await?;
        self.witness.read().await
    }

    /// Everything that was said is through, and what followed from it.
    async fn settle(&mut self) -> Result<()> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
            for controller in &self.controllers {
                controller.peer.property(ROOT, "Manager", "Version").await?;
            }
            let mut taken = 0;
            for app in &mut self.apps {
                app.catch_up().await?;
                taken += app.work().await?;
            }
            self.audio()?;
            if taken == 0 {
                return self.witness.read().await;
            }
        }
        bail!("they never come to rest")
    }

    /// At most one app was told to have the audio.
    fn audio(&self) -> Result<()> {
        let holders: Vec<_> = self
            .apps
            .iter()
            .filter_map(|app| app.audio.map(|generation| (&app.id, generation)))
            .collect();
        ensure!(holders.len() <= 1, "two have the audio: {holders:?}");
        Ok(())
    }

    /// Whatever hangs is over by its deadlines; then everybody agrees.
    async fn rest(&mut self) -> Result<()> {
        self.hear_out().await?;
        let mut waits_for = Vec::new();
        let rested = eventually("nothing is pending any more", async || {
            if self.settle().await.is_err() {
                return Some(());
            }
            waits_for = Known::from(self.judge.view().await.ok()?).pending();
            waits_for.is_empty().then_some(())
        })
        .await;
        rested.with_context(|| format!("{waits_for:#?}"))?;
        self.settle().await?;
        self.witness.agrees(&self.judge).await
    }

    /// Every call to the daemon was answered; what was asked with a token and interrupted is asked again.
    async fn hear_out(&mut self) -> Result<()> {
        while let Some(wish) = self.wishes.pop() {
            let mut reply = wish.reply;
            let end = tokio::time::Instant::now() + PATIENCE * 2;
            // Apps go on meanwhile.
            let answer = loop {
                let glance = timeout(std::time::Duration::from_millis(5), &mut reply).await;
                if let Ok(answer) = glance {
                    break answer?;
                }
                ensure!(tokio::time::Instant::now() < end, "a call that is never answered");
                self.settle().await?;
            };
            let Err(refused) = answer else { continue };
            self.counts.refused += 1;
            let killed = self.counts.kills > wish.kills;
            if killed && refused.is_interruption() {
                if let Some((peer, actions, token)) = wish.again {
                    self.request(peer, actions, Some(token));
                }
                continue;
            }
            let typed = refused.name.starts_with(harness::ERROR);
            let gone = refused.name == "org.freedesktop.DBus.Error.UnknownObject";
            ensure!((typed || gone) && !refused.message.is_empty(), "{refused}");
        }
        Ok(())
    }

    /// All apps leave; then there is nothing.
    async fn end(&mut self) -> Result<()> {
        for app in 0..APPS {
            self.lose(app).await?;
        }
        self.hear_out().await?;
        let mut left = Vec::new();
        let gone = eventually("nothing is left of apps that never come back", async || {
            let known = Known::from(self.judge.view().await.ok()?);
            left =
                known.objects.into_keys().filter(|path| !path.contains("/transaction/")).collect();
            (left == [ROOT]).then_some(())
        })
        .await;
        gone.with_context(|| format!("{left:?}"))?;
        let known = Known::from(self.judge.view().await?);
        ensure!(known.pending().is_empty(), "{:?}", known.pending());
        self.witness.agrees(&self.judge).await?;
        ensure!(self.arbiter.daemon.process.ended().is_none(), "the daemon ended");
        self.arbiter.assert_no_personal_data(&["rabbit", "hatter"]);
        Ok(())
    }
}

impl Controller {
    async fn new(bus: &Bus) -> Result<Controller> {
        Ok(Controller { peer: Arc::new(bus.connect().await?), token: None })
    }
}

async fn requested(
    peer: Arc<Peer>,
    actions: Vec<Action>,
    token: Option<String>,
) -> Result<Option<String>, Refused> {
    let mut how = Options::new();
    if let Some(token) = token {
        how.insert("token", token.into());
    }
    let path: OwnedObjectPath =
        peer.call(ROOT, "Manager", "RequestTransaction", &(actions, how)).await?;
    Ok(Some(path.to_string()))
}

fn copies(actions: &[Action]) -> Vec<Action> {
    let copy = |options: &Options| -> Options {
        let value = |value: &Variant<'static>| value.try_clone().expect("no file descriptor");
        options.iter().map(|(key, v)| (*key, value(v))).collect::<HashMap<_, _>>()
    };
    actions.iter().map(|(name, options)| (*name, copy(options))).collect()
}
