//! Identity: an app in a wall of bubblewrap, made as Flatpak makes its own, is known by what the wall says.

use anyhow::Result;
use harness::{Launch, Process, eventually, source};

use crate::desk::Desk;

#[tokio::test]
async fn an_app_behind_flatpaks_wall_is_known_by_the_walls_word() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = desk.agent("identity").await?;
    let app = boxed(&desk, "org.example.Boxed", Some("[Application]\nname=org.example.Boxed\n"))?;
    known(&desk, &app, "org.example.Boxed", "sandbox").await
}

#[tokio::test]
async fn it_cannot_call_itself_another() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = desk.agent("identity").await?;
    let app = boxed(&desk, "org.example.Bank", Some("[Application]\nname=org.example.Boxed\n"))?;
    eventually("it is refused", async || app.log().contains("org.example.Boxed").then_some(()))
        .await?;
    assert!(!app.output().contains("registered"), "{}", app.output());
    Ok(())
}

#[tokio::test]
async fn an_app_without_a_wall_is_what_it_says() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = desk.agent("identity").await?;
    let app = boxed(&desk, "org.example.Open", None)?;
    known(&desk, &app, "org.example.Open", "declared").await
}

/// The Python example that registers with this id, behind a wall with this description.
pub fn boxed(desk: &Desk, id: &str, info: Option<&str>) -> Result<Process> {
    let program = source("client/examples/python/provider.py");
    let launch = walled(desk, info)?.arg("/usr/bin/python3").arg(program).arg("--app-id").arg(id);
    launch.arg("--bus").arg(desk.bus().address()).start(desk.bus().directory())
}

/// A program, whose words follow, behind a wall with this description.
pub fn walled(desk: &Desk, info: Option<&str>) -> Result<Launch> {
    let mut launch = desk.launch("bwrap")?;
    for arg in
        ["--die-with-parent", "--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
    {
        launch = launch.arg(arg);
    }
    for folder in ["lib", "lib64", "bin"] {
        launch = launch.arg("--symlink").arg(format!("usr/{folder}")).arg(format!("/{folder}"));
    }
    let sources = source("");
    let bind = |launch: Launch, path: &std::path::Path, at: &std::path::Path| {
        launch.arg("--ro-bind").arg(path).arg(at)
    };
    launch = bind(launch, &sources, &sources);
    launch = bind(launch, desk.bus().directory(), desk.bus().directory());
    if let Some(info) = info {
        let file = desk.bus().directory().join("flatpak-info");
        std::fs::write(&file, info)?;
        launch = bind(launch, &file, "/.flatpak-info".as_ref());
    }
    Ok(launch)
}

pub async fn known(desk: &Desk, app: &Process, id: &str, source: &str) -> Result<()> {
    let what = format!("{id} is known by {source}: {}{}", app.output(), app.log());
    eventually(&what, async || {
        let view = desk.phone.peer.view().await.ok()?;
        let providers = view.objects.values().flat_map(|object| object.values());
        let mut found =
            providers.filter(|of| of.get("AppId") == Some(&zbus::Str::from(id.to_owned()).into()));
        let by = found.next()?.get("AppIdSource")?.try_clone().ok()?;
        (String::try_from(by).ok()? == source).then_some(())
    })
    .await
}
