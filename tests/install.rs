//! What `systemd/install` puts into a system: the files, that systemd and dbus-daemon accept them, and
//! that a first call starts the daemon. It never touches the machine that runs the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use harness::{Bus, Daemon, NAME, ROOT, built, interface, source};
use tempfile::TempDir;

/// Everything but the interface files, of which every XML file of the contract is one.
const FILES: [&str; 24] = [
    "usr/bin/callctl",
    "usr/lib/callarbiter/callarbiter.toml",
    "usr/lib/systemd/catalog/callarbiter.catalog",
    "usr/lib/systemd/system-preset/80-callarbiter.preset",
    "usr/lib/systemd/system/callarbiter.service",
    "usr/lib/systemd/user/callarbiter-agent.service",
    "usr/lib/systemd/user/callarbiter-user.service",
    "usr/lib/sysusers.d/callarbiter.conf",
    "usr/lib/tmpfiles.d/callarbiter.conf",
    "usr/lib/udev/rules.d/70-callarbiter-headset.rules",
    "usr/libexec/callarbiter-agent",
    "usr/libexec/callarbiterd",
    "usr/share/applications/org.callarbiter.callctl.desktop",
    "usr/share/bash-completion/completions/callctl",
    "usr/share/dbus-1/services/org.callarbiter.Calls1.service",
    "usr/share/dbus-1/system-services/org.callarbiter.Calls1.service",
    "usr/share/dbus-1/system.d/org.callarbiter.Calls1.conf",
    "usr/share/doc/callarbiter/LICENSE-APACHE",
    "usr/share/doc/callarbiter/LICENSE-MIT",
    "usr/share/fish/vendor_completions.d/callctl.fish",
    "usr/share/man/man1/callarbiter-agent.1",
    "usr/share/man/man1/callctl.1",
    "usr/share/polkit-1/actions/org.callarbiter.policy",
    "usr/share/zsh/site-functions/_callctl",
];

#[test]
fn a_package_gets_every_file_and_loses_it_again() -> Result<()> {
    let tree = TempDir::new()?;
    install(tree.path(), "/usr", &[])?;
    let mut expected: Vec<String> = FILES.map(str::to_owned).to_vec();
    for entry in fs::read_dir(source("dbus-interfaces/xml"))? {
        let name = entry?.file_name();
        expected.push(format!("usr/share/dbus-1/interfaces/{}", name.to_string_lossy()));
    }
    expected.sort();
    assert_eq!(files_below(tree.path())?, expected);
    for file in &expected {
        assert!(fs::metadata(tree.path().join(file))?.len() > 0, "{file} is empty");
    }
    install(tree.path(), "/usr", &["--uninstall"])?;
    assert_eq!(files_below(tree.path())?, [""; 0]);
    Ok(())
}

#[test]
fn below_another_prefix_everything_names_that_prefix() -> Result<()> {
    let tree = TempDir::new()?;
    install(tree.path(), "/opt/calls", &[])?;
    let unit =
        fs::read_to_string(tree.path().join("opt/calls/lib/systemd/system/callarbiter.service"))?;
    assert!(unit.contains("ExecStart=/opt/calls/libexec/callarbiterd"), "{unit}");
    // dbus-daemon reads policies below /usr/share and /etc only.
    assert!(tree.path().join("etc/dbus-1/system.d/org.callarbiter.Calls1.conf").exists());
    Ok(())
}

#[test]
fn systemd_accepts_the_units() -> Result<()> {
    let live = Live::install()?;
    for (scope, unit) in [
        ("system", "callarbiter.service"),
        ("user", "callarbiter-user.service"),
        ("user", "callarbiter-agent.service"),
    ] {
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", &format!("--{scope}")]);
        // Where a user's manager would keep its own; nothing is written there.
        verify
            .arg(live.usr(&format!("lib/systemd/{scope}/{unit}")))
            .env("XDG_RUNTIME_DIR", live.top());
        let said = output(&mut verify)?;
        // Of other units on this machine it may say what it wants.
        let ours = words(&said).lines().filter(|l| l.contains("callarbiter")).collect::<String>();
        assert_eq!(ours, "", "systemd-analyze verify {unit}");
    }
    let mut sysusers = Command::new("systemd-sysusers");
    sysusers.args(["--dry-run".as_ref(), live.usr("lib/sysusers.d/callarbiter.conf").as_os_str()]);
    let said = output(&mut sysusers)?;
    ensure!(said.status.success(), "systemd-sysusers: {}", words(&said));
    Ok(())
}

#[test]
fn an_empty_etc_gets_the_places_for_a_configuration() -> Result<()> {
    let live = Live::install()?;
    let mut tmpfiles = Command::new("systemd-tmpfiles");
    tmpfiles.arg("--create").arg(format!("--root={}", live.top().display()));
    let said = output(tmpfiles.arg(live.usr("lib/tmpfiles.d/callarbiter.conf")))?;
    ensure!(said.status.success(), "systemd-tmpfiles: {}", words(&said));
    for directory in ["etc/callarbiter", "etc/callarbiter/callarbiter.toml.d"] {
        let made = fs::metadata(live.top().join(directory))?;
        assert!(made.is_dir() && made.permissions().mode() & 0o7777 == 0o755, "{directory}");
    }
    Ok(())
}

#[test]
fn the_polkit_action_is_as_polkit_wants_it() -> Result<()> {
    let live = Live::install()?;
    let mut lint = Command::new("xmllint");
    lint.args(["--noout", "--nonet", "--dtdvalid", "/usr/share/polkit-1/policyconfig-1.dtd"]);
    let said = output(lint.arg(live.usr("share/polkit-1/actions/org.callarbiter.policy")))?;
    ensure!(said.status.success(), "xmllint: {}", words(&said));
    Ok(())
}

#[test]
fn telephone_links_are_opened_by_callctl() -> Result<()> {
    let live = Live::install()?;
    let entry = live.usr("share/applications/org.callarbiter.callctl.desktop");
    let said = output(Command::new("desktop-file-validate").arg(&entry))?;
    ensure!(said.status.success(), "desktop-file-validate: {}", words(&said));
    assert_eq!(words(&said), "");
    let entry = fs::read_to_string(entry)?;
    let line = |key: &str| entry.lines().find_map(|line| line.strip_prefix(key));
    let exec = line("Exec=").context("Exec")?;
    let program = exec.strip_suffix(" open -- %u").context("the link is what is opened")?;
    ensure!(Path::new(program).is_file(), "{program} is what is installed");
    let types = line("MimeType=").context("MimeType")?;
    for scheme in ["tel", "sip", "sips", "callto"] {
        ensure!(types.contains(&format!("x-scheme-handler/{scheme};")), "{scheme} in {types}");
    }
    Ok(())
}

#[test]
fn the_service_is_exposed_to_little() -> Result<()> {
    let live = Live::install()?;
    let mut security = Command::new("systemd-analyze");
    // In tenths.
    security.args(["security", "--offline=yes", "--threshold=5", "--no-pager"]);
    let said = output(security.arg(live.usr("lib/systemd/system/callarbiter.service")))?;
    println!("{}", words(&said).lines().last().unwrap_or_default());
    ensure!(said.status.success(), "more than 0.5:\n{}", words(&said));
    Ok(())
}

#[test]
fn the_journal_explains_every_number() -> Result<()> {
    let live = Live::install()?;
    let ids = fs::read_to_string(source("daemon/src/log/ids.rs"))?;
    let mut ids: Vec<&str> = ids.split('"').filter(|text| text.len() == 32).collect();
    let catalog = fs::read_to_string(live.usr("lib/systemd/catalog/callarbiter.catalog"))?;
    let mut explained: Vec<&str> = vec![];
    for entry in catalog.split("\n-- ").skip(1) {
        let (id, text) = entry.split_once('\n').context("an entry is a number and a text")?;
        ensure!(text.starts_with("Subject: "), "{id} has no subject");
        explained.push(id);
    }
    ids.sort_unstable();
    explained.sort_unstable();
    assert_eq!(explained, ids);
    Ok(())
}

#[tokio::test]
async fn the_first_call_starts_the_daemon() -> Result<()> {
    let live = Live::install()?;
    let bus = Bus::session().await?;
    let activation = "org.callarbiter.Calls1.service";
    let installed = live.usr(&format!("share/dbus-1/services/{activation}"));
    fs::copy(installed, bus.directory().join("services").join(activation))?;
    let client = bus.connect_as_self().await?;
    client.bus::<_, ()>("ReloadConfig", &()).await?;
    assert_eq!(client.owner(NAME).await?, None);
    client.property(ROOT, "Manager", "Version").await?;
    assert!(client.owner(NAME).await?.is_some());
    Ok(())
}

#[test]
fn the_installed_interfaces_are_what_generators_read() -> Result<()> {
    let live = Live::install()?;
    let short_names = [
        "Agent",
        "AudioSession",
        "Call",
        "Group",
        "Manager",
        "Provider",
        "ProviderDelegate",
        "Transaction",
    ];
    for short in short_names {
        let file = live.usr(&format!("share/dbus-1/interfaces/{}.xml", interface(short)));
        let mut codegen = Command::new("gdbus-codegen");
        codegen.arg("--interface-info-header").arg("--output").arg(live.top().join("interface.h"));
        let said = output(codegen.arg(&file))?;
        ensure!(said.status.success(), "{}: {}", file.display(), words(&said));
    }
    Ok(())
}

/// An installation that runs from where it lies, in a directory of its own.
struct Live(TempDir);

impl Live {
    fn install() -> Result<Live> {
        let top = TempDir::new()?;
        // DESTDIR is set, so that the script leaves the running system alone.
        install(Path::new("/"), &top.path().join("usr").to_string_lossy(), &[])?;
        Ok(Live(top))
    }

    fn top(&self) -> &Path {
        self.0.path()
    }

    fn usr(&self, path: &str) -> PathBuf {
        self.top().join("usr").join(path)
    }
}

fn install(destination: &Path, prefix: &str, args: &[&str]) -> Result<()> {
    let program = Daemon::program()?;
    built("callctl", "-p callctl")?;
    built("callarbiter-agent", "-p callarbiter-agent")?;
    let mut script = Command::new(source("systemd/install"));
    script.args(args).env("DESTDIR", destination).env("PREFIX", prefix);
    // An installation in a directory of its own keeps its configuration there as well.
    let etc = if destination == Path::new("/") { format!("{prefix}/etc") } else { "/etc".into() };
    let said = output(script.env("SYSCONFDIR", etc).env("BUILD", program.parent().unwrap()))?;
    ensure!(said.status.success(), "systemd/install: {}", words(&said));
    Ok(())
}

fn output(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_owned();
    command.output().with_context(|| format!("{} cannot be run", name.display()))
}

fn words(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn files_below(top: &Path) -> Result<Vec<String>> {
    let mut files = vec![];
    let mut directories = vec![top.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path.strip_prefix(top)?.to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}
