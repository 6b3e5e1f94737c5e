//! What apps behind a wall may do with the calls of other apps: a real polkitd with one rule, and callers
//! in cgroups as Flatpak makes them. Needs root, to make mounts and cgroups: the machine's own polkit keeps
//! its actions and rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use harness::{
    ALLOW, Arbiter, Bus, Cgroup, FakeProvider, Launch, Peer, Process, ROOT, Refused, eventually,
    interface, options, source,
};
use tempfile::TempDir;
use zbus::{OwnedObjectPath, OwnedVariant};

/// As it is read from the bus.
type Dict = HashMap<String, OwnedVariant>;

const POLKIT: &str = "org.freedesktop.PolicyKit1";
const PERSON: &str = "White Rabbit";
const PANEL: &str = "org.example.Panel";
const RULE: &str = r#"polkit.addRule(function (action, subject) {
    if (action.id == "org.callarbiter.control" && subject.user == "alice")
        return polkit.Result.YES;
    if (action.id == "org.callarbiter.provide-calls" && action.lookup("app-id") == "org.example.Listed")
        return polkit.Result.YES;
    if (action.id == "org.callarbiter.provide-calls" && action.lookup("app-id") == "org.example.Unwanted")
        return polkit.Result.NO;
});"#;

#[tokio::test]
async fn a_rule_opens_the_wall_for_one_user_and_no_other() -> Result<()> {
    let arbiter = Arbiter::on_system_bus().await?;
    let _polkit = Polkit::start(&arbiter.bus).await?;
    for (user, shown) in [("alice", PERSON), ("bob", "")] {
        let _phone = called(&arbiter.bus, user).await?;
        let panel = Walled::connect(&arbiter.bus, user, PANEL).await?;
        assert_eq!(panel.sees().await?, shown, "{user}");
    }
    Ok(())
}

#[tokio::test]
async fn a_rule_decides_whether_an_app_may_provide_calls_before_the_user_is_asked() -> Result<()> {
    let config = "[agents]\nunits = [\"*\"]\n[apps]\n\"org.example.Configured\" = \"allow\"\n";
    let arbiter = Arbiter::on(Bus::system().await?, config).await?;
    let _polkit = Polkit::start(&arbiter.bus).await?;
    let agent = arbiter.bus.connect_as("alice").await?;
    let path = zbus::ObjectPath::try_from("/agent")?;
    let _: Dict =
        agent.call(ROOT, "Manager", "RegisterAgent", &(path, vec!["consent"], options([]))).await?;
    let decided = [
        ("org.example.Listed", "authorized", "polkit"),
        ("org.example.Unwanted", "restricted", "polkit"),
        ("org.example.Configured", "authorized", "administrator"),
        ("org.example.Other", "not-determined", ""),
    ];
    for (app, authorization, by) in decided {
        let phone = FakeProvider::register_as(&arbiter.bus, "alice", app).await?;
        let seen = phone.peer.property(&phone.path, "Provider", "Authorization").await?;
        assert_eq!(String::try_from(seen)?, authorization, "{app}");
        let rings = phone.report_incoming("sip:ada@example.org").await.is_ok();
        assert_eq!(rings, authorization == "authorized", "{app}");
        let list: Vec<Dict> = agent.call(ROOT, "Manager", "ListApps", &options([])).await?;
        let is_it = |entry: &&Dict| entry["app-id"] == zbus::Str::from(app).into();
        let shown = list.iter().find(is_it).context("it is not listed")?;
        let text = |key: &str| shown.get(key).map(|value| value.try_clone().unwrap());
        let text = |key: &str| text(key).map_or(Ok(String::new()), String::try_from);
        assert_eq!(
            (text("authorization")?.as_str(), text("source")?.as_str()),
            (authorization, by)
        );
        let user = agent.call::<_, ()>(ROOT, "Manager", "SetAuthorization", &(app, "denied")).await;
        assert_eq!(user.is_ok(), by.is_empty(), "{app}: the user is below the administrator");
    }
    Ok(())
}

#[tokio::test]
async fn without_polkit_it_opens_for_whom_the_configuration_names() -> Result<()> {
    let config = format!("{ALLOW}[agents]\ncontrol = [\"{PANEL}\"]\n");
    let arbiter = Arbiter::on(Bus::system().await?, &config).await?;
    let _phone = called(&arbiter.bus, "alice").await?;
    for (app, shown) in [(PANEL, PERSON), ("org.example.Game", "")] {
        let caller = Walled::connect(&arbiter.bus, "alice", app).await?;
        assert_eq!(caller.sees().await?, shown, "{app}");
    }
    Ok(())
}

#[tokio::test]
async fn the_users_word_opens_the_wall_for_who_is_there_and_shuts_it_again() -> Result<()> {
    let config = format!("{ALLOW}[agents]\nunits = [\"*\"]\n");
    let arbiter = Arbiter::on(Bus::system().await?, &config).await?;
    let phone = called(&arbiter.bus, "alice").await?;
    let agent = arbiter.bus.connect_as("alice").await?;
    let path = zbus::ObjectPath::try_from("/agent")?;
    let _: Dict =
        agent.call(ROOT, "Manager", "RegisterAgent", &(path, vec!["consent"], options([]))).await?;
    let panel = Walled::connect(&arbiter.bus, "alice", PANEL).await?;
    assert_eq!(panel.sees().await?, "");
    assert_eq!(panel.answers().await.unwrap_err().short(), "AccessDenied");
    assert_eq!(panel.calls().await.unwrap_err().short(), "AccessDenied");
    let list = panel.peer.call::<_, Vec<Dict>>(ROOT, "Manager", "ListApps", &options([])).await;
    assert_eq!(list.unwrap_err().short(), "AccessDenied");

    let say = async |control: bool, place: bool| -> Result<(), Refused> {
        let word = options([
            ("app-id", PANEL.into()),
            ("control", control.into()),
            ("place-call", place.into()),
        ]);
        agent.call(ROOT, "Manager", "SetApps", &(vec![word], options([]))).await
    };
    say(true, false).await?;
    assert_eq!(panel.sees().await?, PERSON);
    assert_eq!(panel.calls().await.unwrap_err().short(), "AccessDenied", "that is another word");
    let list: Vec<Dict> = panel.peer.call(ROOT, "Manager", "ListApps", &options([])).await?;
    let is_panel = |app: &&Dict| app["app-id"] == zbus::Str::from(PANEL).into();
    let shown = list.iter().find(is_panel).context("the panel is not listed")?;
    assert_eq!(shown["control-source"], zbus::Str::from("user").into());
    say(false, true).await?;
    assert_eq!(panel.sees().await?, "", "it is taken back from who is there");
    assert_eq!(panel.answers().await.unwrap_err().short(), "AccessDenied");
    panel.calls().await?;
    phone.wait_asked("PerformStart", 1).await?;
    let nothing = (Vec::<Dict>::new(), options([]));
    let stranger = panel.peer.call::<_, ()>(ROOT, "Manager", "SetApps", &nothing).await;
    assert_eq!(stranger.unwrap_err().short(), "AccessDenied");
    Ok(())
}

/// A phone of this user's with a ringing call.
async fn called(bus: &Bus, user: &str) -> Result<FakeProvider> {
    let phone = FakeProvider::register_as(bus, user, "org.example.Phone").await?;
    let update = options([
        ("remote-handle", "sip:white.rabbit@wonderland.example".into()),
        ("display-name", PERSON.into()),
    ]);
    phone.report_incoming_call(&uuid::Uuid::new_v4().to_string(), &update).await?;
    Ok(phone)
}

/// A polkitd that knows our action and our rule, and nothing else.
struct Polkit {
    // Before the directory: its files are in there.
    _process: Process,
    _directory: TempDir,
}

impl Polkit {
    async fn start(bus: &Bus) -> Result<Polkit> {
        let policy = format!("{POLKIT}.conf");
        let shipped = Path::new("/usr/share/dbus-1/system.d").join(&policy);
        fs::copy(&shipped, bus.directory().join("policy.d").join(policy))
            .with_context(|| format!("{} (package polkitd)", shipped.display()))?;
        let root = bus.connect_as_self().await?;
        root.bus::<_, ()>("ReloadConfig", &()).await?;

        let directory = tempfile::Builder::new().prefix("callarbiter-polkit-").tempdir()?;
        let (actions, rules) = (directory.path().join("actions"), directory.path().join("rules"));
        fs::create_dir(&actions)?;
        fs::create_dir(&rules)?;
        let action = "org.callarbiter.policy";
        fs::copy(source("systemd").join(action), actions.join(action))?;
        fs::write(rules.join("50-test.rules"), RULE)?;
        // It drops root.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        // Its directories are compiled in, so it gets a file system of its own.
        let mounts = "mount --bind \"$1\" /usr/share/polkit-1/actions \
                      && mount --bind \"$2\" /etc/polkit-1/rules.d \
                      && mount --bind \"$2\" /usr/share/polkit-1/rules.d \
                      && exec /usr/lib/polkit-1/polkitd --no-debug";
        let mut process = Launch::new("unshare")
            .arg("--mount")
            .arg("sh")
            .arg("-c")
            .arg(mounts)
            .arg("polkitd")
            .arg(&actions)
            .arg(&rules)
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
            .start(directory.path())?;
        let ready = async || match root.owner(POLKIT).await {
            Ok(Some(_)) => Some(true),
            _ => process.ended().map(|_| false),
        };
        if !eventually("polkitd owns its name", ready).await? {
            bail!("polkitd ended at once: {}{}", process.output(), process.log());
        }
        Ok(Polkit { _process: process, _directory: directory })
    }
}

/// A connection of a process in the cgroup of a Flatpak app.
struct Walled {
    // Before its cgroup, which goes when nobody is in it.
    peer: Peer,
    _cgroup: Cgroup,
}

impl Walled {
    async fn connect(bus: &Bus, user: &str, app: &str) -> Result<Walled> {
        let peer = bus.connect_as(user).await?;
        let cgroup = Cgroup::of_flatpak(app, &peer).await?;
        Ok(Walled { peer, _cgroup: cgroup })
    }

    /// Asks for the call that rings to be silenced.
    async fn answers(&self) -> Result<(), Refused> {
        let view = self.peer.view().await.unwrap();
        let has = |of: &&String| view.objects[*of].contains_key(&interface("Call"));
        let path = view.objects.keys().find(has).unwrap().clone();
        self.peer.call(&path, "Call", "Silence", &()).await
    }

    /// Places a call through the phone.
    async fn calls(&self) -> Result<OwnedObjectPath, Refused> {
        let through = options([("provider", "org.example.Phone".into())]);
        self.peer.call(ROOT, "Manager", "StartCall", &("sip:duchess@example.org", through)).await
    }

    /// Who calls, as far as it is told: the name of the first call.
    async fn sees(&self) -> Result<String> {
        let view = self.peer.view().await?;
        let call = view.objects.values().find_map(|object| object.get(&interface("Call")));
        let name = call.context("it does not see the call at all")?["DisplayName"].clone();
        Ok(String::try_from(name)?)
    }
}
