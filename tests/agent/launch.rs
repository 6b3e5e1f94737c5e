//! Launching: a call through an app that does not run starts it. The app is the Python example (real D-Bus
//! activation, a real user's service manager), so what is seen is a call that is active.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use harness::{Peer, ROOT, Refused, eventually, options, source};
use zbus::{OwnedObjectPath, OwnedVariant};

use crate::desk::Desk;
use crate::manager::Manager;

pub const LAUNCHED: &str = "org.example.Launched";
pub const HANDLE: &str = "sip:rabbit@example.org";

#[tokio::test]
async fn an_app_that_the_bus_activates() -> Result<()> {
    let desk = Desk::new().await?;
    let user = desk.bus().connect().await?;
    let agent = desk.agent("launch").await?;
    let output = desk.bus().directory().join("app.out");
    entry(&desk, "DBusActivatable=true\nMimeType=x-scheme-handler/sip;\n")?;
    let app = format!("{} --activatable", app(&desk)?);
    desk.activatable(LAUNCHED, &format!("/bin/sh -c '{app} >{}'", output.display())).await?;
    let call = start(&user).await?;
    user.wait_state(&call, "active").await?;
    let said = fs::read_to_string(output)?;
    assert!(said.contains("opened: 1") && said.contains("start"), "{said}");
    assert!(agent.log().contains("started"), "{}", agent.log());
    assert!(!agent.log().contains("rabbit"), "the handle is in the log: {}", agent.log());
    stop(&desk).await
}

#[tokio::test]
async fn an_app_with_an_exec_line_alone() -> Result<()> {
    let desk = Desk::new().await?;
    let user = desk.bus().connect().await?;
    let _agent = desk.agent("launch").await?;
    // Not of this scheme: it is not told whom to call.
    let exec = format!("Exec={} -- %u\nMimeType=x-scheme-handler/tel;\n", app(&desk)?);
    entry(&desk, &exec)?;
    let call = start(&user).await?;
    user.wait_state(&call, "active").await?;
    assert!(!command_line(&desk)?.contains("rabbit"));
    user.end(&call).await?;
    stop(&desk).await?;

    // Its service file is missing: it is run.
    entry(
        &desk,
        &exec.replace("handler/tel", "handler/sip").replace("Exec", "DBusActivatable=true\nExec"),
    )?;
    let call = start(&user).await?;
    user.wait_state(&call, "active").await?;
    assert!(command_line(&desk)?.ends_with("-- sip:rabbit@example.org"));
    stop(&desk).await
}

#[tokio::test]
async fn an_app_is_a_service_of_the_users_manager() -> Result<()> {
    let desk = Desk::new().await?;
    let user = desk.bus().connect().await?;
    let manager = Manager::start(&desk).await?;
    let agent = desk.agent("launch").await?;
    entry(&desk, &format!("Exec={} -- %u\n", app(&desk)?))?;
    let call = start(&user).await?;
    user.wait_state(&call, "active").await?;
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", pid(&desk)?))?;
    assert!(groups.contains("/app-callarbiter-org.example.Launched@"), "{groups}");
    // By which the arbiter knows it from the first word on.
    let provider = user.property(&call, "Call", "Provider").await?;
    let provider = OwnedObjectPath::try_from(provider)?.to_string();
    let source = user.property(&provider, "Provider", "AppIdSource").await?;
    assert_eq!(String::try_from(source)?, "unit");
    // The agent goes, the app stays.
    drop(agent);
    user.end(&call).await?;
    let _agent = desk.agent("launch").await?;
    stop(&desk).await?;

    // What cannot be run is said with the manager's word.
    let broken = desk.home().join("broken");
    fs::write(&broken, "#!/no/such/interpreter\n")?;
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755))?;
    entry(&desk, &format!("Exec={}\n", broken.display()))?;
    let why = failure(&user).await;
    assert!(why.contains("service manager says failed"), "{why}");
    drop(manager);
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_said() -> Result<()> {
    let desk = Desk::new().await?;
    let user = desk.bus().connect().await?;
    let _agent = desk.agent("launch").await?;
    for (lines, words) in [
        ("Hidden=true\n", "removed by this user"),
        ("Exec=phone\nTryExec=no-such-program\n", "\"no-such-program\" is no program here"),
        ("Exec=no-such-program\n", "no such program in PATH"),
        ("Exec=sh\nTerminal=true\n", "terminal"),
        ("Exec=sh %y\n", "%y is no field code"),
        ("DBusActivatable=true\n", "the bus did not activate org.example.Launched"),
        ("", "has no Exec"),
    ] {
        entry(&desk, lines)?;
        let why = failure(&user).await;
        assert!(why.contains(words), "{lines}: {why}");
    }
    fs::remove_file(desktop_file(&desk))?;
    let why = failure(&user).await;
    assert!(why.contains("no org.example.Launched.desktop lies in"), "{why}");
    Ok(())
}

/// Places a call through the app; it is accepted at once.
async fn start(user: &Peer) -> Result<String, Refused> {
    let how = options([("provider", LAUNCHED.into())]);
    let call: OwnedObjectPath = user.call(ROOT, "Manager", "StartCall", &(HANDLE, how)).await?;
    Ok(call.to_string())
}

/// Why a call through the app is not placed.
async fn failure(user: &Peer) -> String {
    let how = options([("provider", LAUNCHED.into()), ("wait", true.into())]);
    let placed: Result<OwnedObjectPath, Refused> =
        user.call(ROOT, "Manager", "StartCall", &(HANDLE, how)).await;
    placed.unwrap_err().message
}

pub fn desktop_file(desk: &Desk) -> PathBuf {
    desk.home().join(format!(".local/share/applications/{LAUNCHED}.desktop"))
}

pub fn entry(desk: &Desk, lines: &str) -> Result<()> {
    let file = desktop_file(desk);
    fs::create_dir_all(file.parent().context("it has a folder")?)?;
    Ok(fs::write(file, format!("[Desktop Entry]\nType=Application\nName=Launched\n{lines}"))?)
}

pub fn app(desk: &Desk) -> Result<String> {
    let program = source("client/examples/python/provider.py");
    let address = desk.bus().address();
    Ok(format!("/usr/bin/python3 {} --app-id {LAUNCHED} --bus {address}", program.display()))
}

/// The process of the app: the only Python that talks to this bus.
fn pid(desk: &Desk) -> Result<u32> {
    let address = desk.bus().address();
    let is_it = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with("/usr/bin/python3") && line.contains(&address)
    };
    let all = fs::read_dir("/proc")?.flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    pids.find(is_it).context("the app runs")
}

fn command_line(desk: &Desk) -> Result<String> {
    let line = fs::read(format!("/proc/{}/cmdline", pid(desk)?))?;
    Ok(String::from_utf8(line)?.trim_end_matches('\0').replace('\0', " "))
}

/// Ends the app and waits until it is gone.
pub async fn stop(desk: &Desk) -> Result<()> {
    let pid = pid(desk)?;
    std::process::Command::new("kill").arg(pid.to_string()).status()?;
    let user = desk.bus().connect().await?;
    eventually("the app is gone", async || detached(&user).await.filter(|()| !runs(pid))).await
}

/// Once the arbiter knows that it is gone.
pub async fn detached(user: &Peer) -> Option<()> {
    let view = user.view().await.ok()?;
    let mut providers = view.objects.values().flat_map(|object| object.values());
    let its = |of: &std::collections::BTreeMap<String, OwnedVariant>| {
        of.get("AppId") == Some(&zbus::Str::from(LAUNCHED).into())
            && of.get("Attached") == Some(&true.into())
    };
    (!providers.any(its)).then_some(())
}

fn runs(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.contains("State:") && !status.contains("State:\tZ")
}
