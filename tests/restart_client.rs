//! Apps that are written with the client crate, and an arbiter that is killed while they use it: nothing is done
//! twice, everybody gets one answer, and afterwards everybody sees the same. The real daemon with its state on a
//! real bus; there is no line about restarts in these apps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use callarbiter::{
    Call, CallPath, CallState, CallUpdate, Change, Connection, Controller, Delegate, EndReason,
    Events, Performed, Provider, Request, StartOptions, Uuid,
};
use futures_util::StreamExt;
use harness::{ALLOW, Daemon, Launch, PATIENCE, Process, eventually};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zbus::MessageStream;

// ---- what is under way when it is killed

#[tokio::test]
async fn a_request_that_the_arbiter_never_read() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    let mut observer = Observer::start(&scene).await?;
    let sent = scene.sent("RequestTransaction").await?;
    scene.daemon.signal("STOP")?;
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(call).await });
    in_time(sent).await???;
    scene.crash().await?;
    scene.restart().await?;
    in_time(answering).await???;
    assert_eq!(phone.done(), ["answer"]);
    observer.sees(&[(call, "active")]).await?;
    phone.has_audio(call).await
}

#[tokio::test]
async fn an_answer_that_its_app_is_performing() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    let mut observer = Observer::start(&scene).await?;
    phone.takes_its_time();
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(call).await });
    phone.is_at_work().await?;
    scene.crash().await?;
    phone.is_detached().await?;
    scene.restart().await?;
    phone.is_attached().await?;
    phone.goes_on();
    in_time(answering).await???;
    assert_eq!(phone.done(), ["answer"]);
    observer.sees(&[(call, "active")]).await?;
    phone.has_audio(call).await
}

#[tokio::test]
async fn an_answer_that_its_app_performed_meanwhile() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    let mut observer = Observer::start(&scene).await?;
    phone.takes_its_time();
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(call).await });
    phone.is_at_work().await?;
    scene.crash().await?;
    phone.goes_on();
    phone.has_done("answer").await?;
    scene.restart().await?;
    in_time(answering).await???;
    assert_eq!(phone.done(), ["answer"]);
    observer.sees(&[(call, "active")]).await?;
    phone.has_audio(call).await
}

#[tokio::test]
async fn a_call_that_is_being_placed() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let mut observer = Observer::start(&scene).await?;
    phone.takes_its_time();
    let starting = scene.controller.clone();
    let options = StartOptions { wait: true, ..StartOptions::default() };
    let starting = tokio::spawn(async move { starting.start_call("tel:+15550100", options).await });
    phone.is_at_work().await?;
    scene.crash().await?;
    phone.is_detached().await?;
    scene.restart().await?;
    phone.is_attached().await?;
    phone.goes_on();
    let call = in_time(starting).await???.uuid;
    assert_eq!(phone.done(), ["start"]);
    assert_eq!(phone.provider.calls(), [(call, CallState::Dialing)]);
    observer.sees(&[(call, "dialing")]).await?;
    phone.has_audio(call).await
}

#[tokio::test]
async fn a_call_that_nobody_had_begun_to_place() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let mut observer = Observer::start(&scene).await?;
    let sent = scene.sent("StartCall").await?;
    scene.daemon.signal("STOP")?;
    let starting = scene.controller.clone();
    let starting =
        tokio::spawn(
            async move { starting.start_call("tel:+15550100", StartOptions::default()).await },
        );
    in_time(sent).await???;
    scene.crash().await?;
    scene.restart().await?;
    let call = in_time(starting).await???.uuid;
    observer.sees(&[(call, "dialing")]).await?;
    assert_eq!(phone.done(), ["start"]);
    Ok(())
}

#[tokio::test]
async fn a_plan_while_it_holds_the_other_call() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (phone, chat) =
        (scene.app("org.example.Phone").await?, scene.app("org.example.Chat").await?);
    let (old, new) = (phone.ring().await?, chat.ring().await?);
    scene.controller.answer(old).await?;
    let mut observer = Observer::start(&scene).await?;
    phone.takes_its_time();
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(new).await });
    phone.is_at_work().await?;
    scene.crash().await?;
    phone.is_detached().await?;
    scene.restart().await?;
    phone.is_attached().await?;
    phone.goes_on();
    in_time(answering).await???;
    assert_eq!((phone.done(), chat.done()), (words(["answer", "hold"]), words(["answer"])));
    observer.sees(&[(old, "held"), (new, "active")]).await?;
    chat.has_audio(new).await
}

#[tokio::test]
async fn a_plan_while_it_answers() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (phone, chat) =
        (scene.app("org.example.Phone").await?, scene.app("org.example.Chat").await?);
    let (old, new) = (phone.ring().await?, chat.ring().await?);
    scene.controller.answer(old).await?;
    let mut observer = Observer::start(&scene).await?;
    chat.takes_its_time();
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(new).await });
    chat.is_at_work().await?;
    scene.crash().await?;
    chat.goes_on();
    chat.has_done("answer").await?;
    scene.restart().await?;
    in_time(answering).await???;
    assert_eq!((phone.done(), chat.done()), (words(["answer", "hold"]), words(["answer"])));
    observer.sees(&[(old, "held"), (new, "active")]).await?;
    // The old call is resumed as if nothing had been: the arbiter knows who holds it.
    scene.controller.end(new).await?;
    observer.sees(&[(old, "active")]).await?;
    phone.has_audio(old).await
}

#[tokio::test]
async fn what_happened_at_the_far_ends_meanwhile() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (phone, chat) =
        (scene.app("org.example.Phone").await?, scene.app("org.example.Chat").await?);
    let calls = [phone.ring().await?, chat.ring().await?];
    scene.controller.answer(calls[0]).await?;
    let mut observer = Observer::start(&scene).await?;
    scene.crash().await?;
    phone.is_detached().await?;
    chat.is_detached().await?;
    phone.provider.report_state(calls[0], CallState::Held).await?;
    phone.provider.report_remote_held(calls[0], true).await?;
    let name = CallUpdate { display_name: Some("Rabbit".into()), ..CallUpdate::default() };
    phone.provider.update_call(calls[0], name).await?;
    chat.provider.report_ended(calls[1], EndReason::Unanswered).await?;
    scene.restart().await?;
    observer.sees(&[(calls[0], "held")]).await?;
    observer.until("the far end holds", |calls| calls.iter().all(|call| call.remote_held)).await?;
    observer
        .until("its name", |calls| calls.iter().all(|call| call.display_name.reveal() == "Rabbit"))
        .await?;
    let late = chat.provider.report_incoming(calls[1], CallUpdate::default()).await.unwrap_err();
    assert_eq!(late.kind(), Some(callarbiter::ErrorKind::AlreadyEnded));
    observer.equals(&scene).await
}

#[tokio::test]
async fn a_report_that_the_arbiter_never_read() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let (one, two) = (phone.ring().await?, Uuid::new_v4());
    let mut observer = Observer::start(&scene).await?;
    let (ended, rang) = (scene.sent("ReportEnded").await?, scene.sent("ReportIncomingCall").await?);
    scene.daemon.signal("STOP")?;
    let provider = phone.provider.clone();
    let ending =
        tokio::spawn(async move { provider.report_ended(one, EndReason::RemoteEnded).await });
    in_time(ended).await???;
    let provider = phone.provider.clone();
    let ringing =
        tokio::spawn(async move { provider.report_incoming(two, CallUpdate::default()).await });
    in_time(rang).await???;
    scene.crash().await?;
    scene.restart().await?;
    in_time(ending).await???;
    in_time(ringing).await???;
    observer.sees(&[(two, "ringing")]).await?;
    observer.equals(&scene).await
}

#[tokio::test]
async fn an_arbiter_that_lost_its_state_is_told_everything() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (phone, chat) =
        (scene.app("org.example.Phone").await?, scene.app("org.example.Chat").await?);
    let (active, ringing) = (phone.ring().await?, chat.ring().await?);
    scene.controller.answer(active).await?;
    let mut observer = Observer::start(&scene).await?;
    scene.crash().await?;
    for app in [&phone, &chat] {
        app.is_detached().await?;
    }
    scene.forget()?;
    scene.restart().await?;
    for app in [&phone, &chat] {
        app.is_attached().await?;
    }
    observer.sees(&[(active, "active"), (ringing, "ringing")]).await?;
    phone.has_audio(active).await?;
    scene.controller.end(ringing).await?;
    observer.sees(&[(active, "active")]).await?;
    observer.equals(&scene).await
}

#[tokio::test]
async fn the_bus_and_the_arbiter_with_it() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    scene.controller.answer(call).await?;
    let mut observer = Observer::start(&scene).await?;
    scene.kill_bus().await?;
    phone.is_detached().await?;
    scene.restart_bus().await?;
    phone.is_attached().await?;
    observer.sees(&[(call, "active")]).await?;
    phone.has_audio(call).await?;
    scene.controller.hold(call).await?;
    observer.sees(&[(call, "held")]).await?;
    assert_eq!(phone.done(), ["answer", "hold"]);
    observer.equals(&scene).await
}

#[tokio::test]
async fn again_and_again() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    let mut observer = Observer::start(&scene).await?;
    scene.controller.answer(call).await?;
    for turn in 0..5 {
        let controller = scene.controller.clone();
        let changing = tokio::spawn(async move {
            if turn % 2 == 0 { controller.hold(call).await } else { controller.unhold(call).await }
        });
        scene.crash().await?;
        scene.restart().await?;
        in_time(changing).await???;
    }
    assert_eq!(phone.done(), ["answer", "hold", "unhold", "hold", "unhold", "hold"]);
    observer.sees(&[(call, "held")]).await?;
    observer.equals(&scene).await
}

#[tokio::test]
async fn whatever_was_told_last() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (phone, chat) =
        (scene.app("org.example.Phone").await?, scene.app("org.example.Chat").await?);
    let mut observer = Observer::start(&scene).await?;
    let mut changes = 0;
    let mut is_over = false;
    while !is_over {
        changes += 1;
        let old = phone.ring().await?;
        scene.controller.answer(old).await?;
        let new = chat.ring().await?;
        observer.sees(&[(old, "active"), (new, "ringing")]).await?;
        phone.has_audio(old).await?;
        let mut witness = Events::subscribe(&scene.connection().await?).await?;
        let answering = scene.controller.clone();
        let answering = tokio::spawn(async move { answering.answer(new).await });
        for _ in 0..changes {
            tokio::select! {
                biased;
                change = witness.next() => drop(change.context("the stream has ended")?),
                heard = chat.has_audio(new) => is_over = heard.is_ok(),
            }
        }
        scene.crash().await?;
        scene.restart().await?;
        in_time(answering).await???;
        observer.sees(&[(old, "held"), (new, "active")]).await?;
        chat.has_audio(new).await?;
        scene.controller.end(new).await?;
        observer.sees(&[(old, "active")]).await?;
        phone.has_audio(old).await?;
        scene.controller.end(old).await?;
        observer.sees(&[]).await?;
        let (asked, answered) = (phone.forgets(), chat.forgets());
        assert_eq!(asked, ["answer", "hold", "unhold", "end"], "killed after {changes} changes");
        assert_eq!(answered, ["answer", "end"], "killed after {changes} changes");
    }
    assert!(changes > 8, "it was killed at {changes} points only");
    observer.equals(&scene).await
}

// ---- the apps

/// Does what it is asked, at once or when it is let, and writes it down.
struct App {
    hands: Arc<Hands>,
    provider: Provider,
}

#[derive(Default)]
struct Hands {
    done: Mutex<Vec<&'static str>>,
    slow: Mutex<bool>,
    at_work: Notify,
    go_on: Notify,
    audible: Mutex<Vec<Uuid>>,
}

struct Acts(Arc<Hands>);

impl Acts {
    async fn act(&self, what: &'static str) -> Performed {
        let slow = std::mem::take(&mut *self.0.slow.lock().unwrap());
        if slow {
            self.0.at_work.notify_one();
            self.0.go_on.notified().await;
        }
        self.0.done.lock().unwrap().push(what);
        Ok(())
    }
}

impl Delegate for Acts {
    async fn perform_start(&self, _: &Request, _: Uuid, _: &str) -> Performed {
        self.act("start").await
    }
    async fn perform_answer(&self, _: &Request, _: Uuid) -> Performed {
        self.act("answer").await
    }
    async fn perform_end(&self, _: &Request, _: Uuid) -> Performed {
        self.act("end").await
    }
    async fn perform_set_held(&self, _: &Request, _: Uuid, held: bool) -> Performed {
        self.act(if held { "hold" } else { "unhold" }).await
    }
    async fn audio_activated(&self, _: &Request, calls: &[Uuid]) -> Performed {
        *self.0.audible.lock().unwrap() = calls.to_vec();
        Ok(())
    }
    async fn audio_deactivated(&self, _: &Request, _: &[Uuid]) -> Performed {
        self.0.audible.lock().unwrap().clear();
        Ok(())
    }
}

impl App {
    async fn ring(&self) -> Result<Uuid> {
        let call = Uuid::new_v4();
        self.provider.report_incoming(call, CallUpdate::default()).await?;
        Ok(call)
    }

    /// Waits with the next thing that it is asked.
    fn takes_its_time(&self) {
        *self.hands.slow.lock().unwrap() = true;
    }

    async fn is_at_work(&self) -> Result<()> {
        in_time(self.hands.at_work.notified()).await
    }

    fn goes_on(&self) {
        self.hands.go_on.notify_one();
    }

    fn done(&self) -> Vec<&'static str> {
        self.hands.done.lock().unwrap().clone()
    }

    /// What it did since it forgot last.
    fn forgets(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.hands.done.lock().unwrap())
    }

    async fn has_done(&self, what: &'static str) -> Result<()> {
        eventually(what, async || self.done().contains(&what).then_some(())).await
    }

    async fn is_attached(&self) -> Result<()> {
        eventually("it is registered again", async || self.provider.is_attached().then_some(()))
            .await
    }

    async fn is_detached(&self) -> Result<()> {
        eventually("it saw the arbiter go", async || (!self.provider.is_attached()).then_some(()))
            .await
    }

    async fn has_audio(&self, call: Uuid) -> Result<()> {
        let heard = async || (*self.hands.audible.lock().unwrap() == [call]).then_some(());
        eventually("its call has the audio", heard).await
    }
}

fn words<const N: usize>(words: [&'static str; N]) -> Vec<&'static str> {
    words.to_vec()
}

/// Knows only the changes that it was told, beginning with a snapshot.
struct Observer {
    events: Events,
    calls: BTreeMap<CallPath, Call>,
}

impl Observer {
    async fn start(scene: &Scene) -> Result<Observer> {
        let events = Events::subscribe(&scene.connection().await?).await?;
        let calls = events.snapshot().calls.clone();
        Ok(Observer { events, calls })
    }

    /// Waits until these are the calls.
    async fn sees(&mut self, wanted: &[(Uuid, &str)]) -> Result<()> {
        let mut wanted: Vec<_> =
            wanted.iter().map(|(call, state)| (*call, (*state).to_owned())).collect();
        wanted.sort();
        let what = format!("{wanted:?}");
        self.until(&what, |calls| {
            let seen = calls.iter().map(|call| (call.id, call.state.to_string()));
            let mut seen: Vec<_> = seen.collect();
            seen.sort();
            seen == wanted
        })
        .await
    }

    async fn until(&mut self, what: &str, is_so: impl Fn(&[&Call]) -> bool) -> Result<()> {
        let looked = timeout(PATIENCE, async {
            loop {
                if is_so(&self.calls.values().collect::<Vec<_>>()) {
                    return Ok(());
                }
                match self.events.next().await.context("the stream has ended")? {
                    Change::CallAdded(call) => {
                        let known = self.calls.insert(call.object, *call);
                        assert!(known.is_none(), "added twice: {known:?}");
                    }
                    Change::CallChanged { call, .. } => {
                        let known = self.calls.insert(call.object, *call);
                        assert!(known.is_some(), "changed, and never added");
                    }
                    Change::CallRemoved(call) => {
                        assert!(
                            self.calls.remove(&call.object).is_some(),
                            "removed, and not there"
                        );
                    }
                    _ => {}
                }
            }
        })
        .await;
        match looked {
            Ok(done) => done,
            Err(_) => bail!("did not come: {what}; it sees {:?}", self.calls.values()),
        }
    }

    /// What it was told is what somebody new is shown.
    async fn equals(&mut self, scene: &Scene) -> Result<()> {
        let fresh = Events::subscribe(&scene.connection().await?).await?.snapshot().calls.clone();
        let what = format!("{fresh:?}");
        self.until(&what, |calls| calls.iter().copied().eq(fresh.values())).await
    }
}

// ---- the stage

/// A bus, a daemon with its state, and somebody who acts for the user.
struct Scene {
    daemon: Process,
    bus: Process,
    controller: Controller,
    directory: TempDir,
}

impl Scene {
    async fn start() -> Result<Scene> {
        let directory = tempfile::Builder::new().prefix("callarbiter-restart-").tempdir()?;
        let top = directory.path();
        std::fs::write(top.join("callarbiter.toml"), ALLOW)?;
        let bus = start_bus(top).await?;
        let daemon = start_daemon(top).await?;
        let controller = Controller::new(&Connection::open(&address(top)).await?);
        // Knows the arbiter before it is needed.
        controller.plan([]).await.unwrap_err();
        Ok(Scene { daemon, bus, controller, directory })
    }

    async fn connection(&self) -> Result<Connection> {
        Ok(Connection::open(&address(self.directory.path())).await?)
    }

    async fn app(&self, id: &str) -> Result<App> {
        let hands = Arc::new(Hands::default());
        let app = Provider::builder(id).display_name(id).schemes(["tel"]);
        let provider = app.register(&self.connection().await?, Acts(hands.clone())).await?;
        Ok(App { hands, provider })
    }

    /// Done when somebody has sent such a call, whether or not anybody reads it.
    async fn sent(&self, member: &'static str) -> Result<JoinHandle<Result<()>>> {
        let monitor =
            zbus::connection::Builder::address(&*address(self.directory.path())).build().await?;
        let mut messages = MessageStream::from(&monitor);
        let rule = format!("type='method_call',member='{member}'");
        let monitoring = Some("org.freedesktop.DBus.Monitoring");
        let body = (vec![rule], 0_u32);
        let driver = Some("org.freedesktop.DBus");
        monitor
            .call_method(driver, "/org/freedesktop/DBus", monitoring, "BecomeMonitor", &body)
            .await?;
        Ok(tokio::spawn(async move {
            let _monitor = monitor;
            while let Some(message) = messages.next().await {
                if message?.header().member().is_some_and(|sent| sent.as_str() == member) {
                    return Ok(());
                }
            }
            bail!("the bus is gone")
        }))
    }

    async fn crash(&mut self) -> Result<()> {
        self.daemon.signal("KILL")?;
        self.daemon.end().await?;
        Ok(())
    }

    async fn restart(&mut self) -> Result<()> {
        self.daemon = start_daemon(self.directory.path()).await?;
        Ok(())
    }

    fn forget(&self) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.directory.path().join("state"))?)
    }

    /// Everybody loses the connection, and the daemon ends.
    async fn kill_bus(&mut self) -> Result<()> {
        self.bus.signal("KILL")?;
        self.bus.end().await?;
        self.daemon.end().await?;
        Ok(())
    }

    async fn restart_bus(&mut self) -> Result<()> {
        std::fs::remove_file(self.directory.path().join("bus"))?;
        self.bus = start_bus(self.directory.path()).await?;
        self.restart().await
    }
}

fn address(top: &Path) -> String {
    format!("unix:path={}", top.join("bus").display())
}

async fn start_bus(top: &Path) -> Result<Process> {
    let launch = Launch::new("dbus-daemon").arg("--session").arg("--nofork").arg("--nopidfile");
    let mut bus = launch.arg(format!("--address={}", address(top))).start(top)?;
    let listens = async || {
        let up = std::os::unix::net::UnixStream::connect(top.join("bus")).is_ok();
        (up || bus.ended().is_some()).then_some(up)
    };
    if !eventually("dbus-daemon listens", listens).await? {
        bail!("dbus-daemon ended: {}", bus.log());
    }
    Ok(bus)
}

async fn start_daemon(top: &Path) -> Result<Process> {
    let mut daemon = Launch::new(Daemon::program()?)
        .arg("--bus")
        .arg("session")
        .arg("--config")
        .arg(top.join("callarbiter.toml"))
        .arg("--state")
        .arg(top.join("state"))
        .arg("--log")
        .arg("debug")
        .env("DBUS_SESSION_BUS_ADDRESS", address(top))
        .start(top)?;
    let watcher = zbus::connection::Builder::address(&*address(top)).build().await?;
    let watcher = zbus::fdo::DBusProxy::new(&watcher).await?;
    let is_there = async || match watcher.name_has_owner(harness::NAME.try_into().ok()?).await {
        Ok(true) => Some(true),
        _ => daemon.ended().map(|_| false),
    };
    if !eventually("callarbiterd owns its name", is_there).await? {
        bail!("callarbiterd ended: {}", daemon.log());
    }
    Ok(daemon)
}

async fn in_time<T>(what: impl Future<Output = T>) -> Result<T> {
    Ok(timeout(PATIENCE + Duration::from_secs(10), what).await?)
}
