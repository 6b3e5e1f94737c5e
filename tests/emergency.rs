//! Calls for help on a real bus: by the administrator's configuration, whoever dials them, whatever is full, quiet or
//! blocked, and nothing but the user takes them away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use anyhow::Result;
use harness::{Arbiter, Bus, FakeAgent, FakeProvider, Peer, ROOT, Refused, Reported, options};
use uuid::Uuid;
use zbus::OwnedObjectPath;

/// Nobody asked the user about the modem, one call is all that there may be, and a rule turns everybody away.
const CONFIG: &str = r#"
[apps]
"org.example.Phone" = "allow"
[limits]
calls = 1
[[rule]]
name = "leave me alone"
contacts = ["tel:*"]
ring = "reject"
[emergency]
handles = ["tel:112"]
providers = ["org.example.Modem"]
[agents]
units = ["*"]
"#;

struct Scene {
    modem: FakeProvider,
    phone: FakeProvider,
    user: Peer,
    arbiter: Arbiter,
}

impl Scene {
    async fn under(config: &str) -> Result<Scene> {
        let arbiter = Arbiter::on(Bus::session().await?, config).await?;
        let modem = FakeProvider::register(&arbiter.bus, "org.example.Modem").await?;
        let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
        let user = arbiter.bus.connect().await?;
        Ok(Scene { modem, phone, user, arbiter })
    }

    /// A call of the other app, with the audio.
    async fn talk(&self) -> Result<Reported> {
        let call = self.phone.report_incoming("sip:ada@example.org").await?;
        self.user.answer(&call.path).await?;
        self.phone.peer.wait_audio("granted").await?;
        Ok(call)
    }

    /// The user dials, and names no app.
    async fn dial(&self, handle: &str) -> Result<String, Refused> {
        let how = options([]);
        let call: OwnedObjectPath =
            self.user.call(ROOT, "Manager", "StartCall", &(handle, how)).await?;
        Ok(call.to_string())
    }

    /// It was dialled at its app, which says so.
    async fn report(app: &FakeProvider, handle: &str, state: &str) -> Result<Reported, Refused> {
        let uuid = Uuid::new_v4().to_string();
        let update = options([("remote-handle", handle.to_owned().into())]);
        let path: OwnedObjectPath =
            app.tell("ReportCall", &(&uuid, "outgoing", state, update)).await?;
        Ok(Reported { uuid, path: path.to_string() })
    }

    async fn becomes(&self, call: &str, state: &str) -> Result<(), Refused> {
        let uuid = self.text(call, "Id").await?;
        self.modem.tell("ReportState", &(uuid, state, options([]))).await
    }

    async fn text(&self, call: &str, property: &str) -> Result<String, Refused> {
        let value = self.modem.peer.property(call, "Call", property).await?;
        Ok(String::try_from(value).unwrap())
    }

    async fn is_emergency(&self, call: &str) -> Result<bool, Refused> {
        let value = self.modem.peer.property(call, "Call", "Emergency").await?;
        Ok(bool::try_from(value).unwrap())
    }

    /// Nothing but the user takes it away; the user does.
    async fn is_protected(&self, call: &str, other: &str) -> Result<()> {
        let refused = self.user.unhold(other).await.unwrap_err();
        assert!(refused.name.ends_with("CallProtected"), "{refused}");
        assert!(refused.to_string().contains(&self.text(call, "Id").await?), "{refused}");
        assert_eq!(self.modem.peer.state(call).await?, "active");
        let asked = |member: &str| self.modem.asked().iter().any(|a| a.member == member);
        assert!(!asked("PerformSetHeld") && !asked("PerformEnd"), "{:?}", self.modem.asked());
        self.user.end(call).await?;
        self.modem.wait_asked("PerformEnd", 1).await?;
        self.phone.peer.wait_state(other, "active").await
    }
}

#[tokio::test]
async fn it_is_dialled_whatever_is_full_and_nobody_was_asked() -> Result<()> {
    let scene = Scene::under(CONFIG).await?;
    let other = scene.talk().await?;
    let refused = scene.dial("sip:grace@example.org").await.unwrap_err();
    assert!(refused.name.ends_with("LimitExceeded"), "{refused}");
    // As people dial it.
    let call = scene.dial("tel:1-1-2").await?;
    assert!(scene.is_emergency(&call).await?);
    assert!(!scene.is_emergency(&other.path).await?);
    scene.phone.wait_asked("PerformSetHeld", 1).await?;
    scene.modem.wait_asked("PerformStart", 1).await?;
    scene.phone.peer.wait_state(&other.path, "held").await?;
    scene.modem.peer.wait_state(&call, "dialing").await?;
    scene.becomes(&call, "active").await?;
    scene.modem.wait_asked("AudioActivated", 1).await?;
    scene.is_protected(&call, &other.path).await?;
    scene.arbiter.assert_no_personal_data(&["1-1-2", "ada@"]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_held_for_it_is_ended() -> Result<()> {
    let scene = Scene::under(CONFIG).await?;
    let other = scene.talk().await?;
    let fixed = options([("can-hold", false.into())]);
    let () = scene.phone.tell("UpdateCall", &(&other.uuid, fixed)).await?;
    let call = scene.dial("112").await?;
    scene.phone.wait_asked("PerformEnd", 1).await?;
    scene.modem.wait_asked("PerformStart", 1).await?;
    assert!(scene.is_emergency(&call).await?);
    Ok(())
}

#[tokio::test]
async fn one_that_its_app_dialled_is_one_as_well_and_stays_one() -> Result<()> {
    let mut scene = Scene::under(CONFIG).await?;
    let other = scene.talk().await?;
    // Through an app that is not listed it is a call as any other.
    let refused = Scene::report(&scene.phone, "tel:112", "dialing").await.unwrap_err();
    assert!(refused.name.ends_with("Busy"), "{refused}");
    let call = Scene::report(&scene.modem, "tel:112", "dialing").await?;
    assert!(scene.is_emergency(&call.path).await?);
    scene.phone.wait_asked("PerformSetHeld", 1).await?;
    scene.phone.peer.wait_state(&other.path, "held").await?;
    scene.becomes(&call.path, "active").await?;
    scene.modem.wait_asked("AudioActivated", 1).await?;

    scene.arbiter.crash_and_restart().await?;
    scene.modem.wait_asked("Reconcile", 1).await?;
    scene.phone.wait_asked("Reconcile", 1).await?;
    scene.modem.wait_asked("AudioActivated", 2).await?;
    assert!(scene.is_emergency(&call.path).await?);
    scene.is_protected(&call.path, &other.path).await
}

#[tokio::test]
async fn who_calls_back_passes_rules_screeners_and_do_not_disturb() -> Result<()> {
    let config = CONFIG.replace("[apps]", "[apps]\n\"org.example.Modem\" = \"allow\"");
    let scene = Scene::under(&config).await?;
    let agent = FakeAgent::with(&scene.arbiter.bus, &["dnd", "screening"]).await?;
    let () = agent.peer.call(ROOT, "Manager", "SetDoNotDisturb", &(true, options([]))).await?;
    let refused = scene.modem.report_incoming("tel:+49301234567").await.unwrap_err().to_string();
    assert!(refused.contains("leave me alone"), "{refused}");
    let call = scene.modem.report_incoming("tel:112").await?;
    assert_eq!(scene.modem.peer.state(&call.path).await?, "ringing");
    assert_eq!(scene.text(&call.path, "Silenced").await?, "");
    assert!(agent.errands().iter().all(|errand| errand.member != "Screen"), "nobody looks at it");
    Ok(())
}
