//! A `/proc` made by hand: files as the kernel and the sandboxes write them. Neither Flatpak nor snapd runs
//! on every machine that runs the tests.
#![allow(clippy::unwrap_used)]

use std::{fs, os::unix::fs::symlink, process::Command};

use rustix::process::getuid;
use tempfile::TempDir;

use super::*;

const USER: &str = "0::/user.slice/user-1000.slice/user@1000.service";

/// As `flatpak run` 1.14 writes it.
const INFO: &str = "[Application]\nname=org.linphone.Linphone\nruntime=runtime/org.kde.Platform/x86_64/5.15-22.08\n\n\
    [Instance]\ninstance-id=3713592713\ninstance-path=/home/ada/.var/app/org.linphone.Linphone\n\
    app-commit=9c1f\nname=of.nobody\n\n[Context]\nshared=network;ipc;\n";

struct Fake(TempDir);

impl Fake {
    /// Process 7, with a root of its own.
    fn new(groups: &str) -> Fake {
        let fake = Fake(tempfile::tempdir().unwrap());
        fake.write("7/status", "Name:\tphone\nUid:\t1000\t1000\t1000\t1000\n");
        fake.write("7/cgroup", &groups.replace('…', USER));
        fs::create_dir(fake.0.path().join("rootfs")).unwrap();
        symlink(fake.0.path().join("rootfs"), fake.0.path().join("7/root")).unwrap();
        fake
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.0.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn identify(&self, declared: &str) -> Result<(String, AppIdSource), String> {
        let who = Identifier::new(self.0.path(), 1000, vec![self.0.path().join("applications")]);
        who.identify(7, declared).map_err(|error| error.to_string())
    }
}

fn is(app: &str, source: AppIdSource) -> Result<(String, AppIdSource), String> {
    Ok((app.to_owned(), source))
}

#[test]
fn flatpaks_own_file_counts_before_everything_else() {
    let fake = Fake::new("…/app.slice/app-gnome-org.x.Terminal-4.scope\n");
    fake.write("rootfs/.flatpak-info", INFO);
    assert_eq!(fake.identify("org.x.Other"), is("org.linphone.Linphone", AppIdSource::Sandbox));
    fake.write("rootfs/.flatpak-info", "[Runtime]\nname=org.gnome.Sdk\n");
    assert_eq!(fake.identify(""), is("org.gnome.Sdk", AppIdSource::Sandbox));
}

#[test]
fn a_sandbox_that_says_nothing_good_has_no_app() {
    let fake = Fake::new("…/app.slice/app-gnome-org.x.Terminal-4.scope\n");
    for info in ["", "[Instance]\nname=org.x.A\n", "[Application]\nname=../../etc\n", "\0\u{1}"] {
        fake.write("rootfs/.flatpak-info", info);
        let refused = fake.identify("org.x.Other").unwrap_err();
        assert!(refused.contains("does not say which app"), "{info:?}: {refused}");
    }
    fake.write("rootfs/.flatpak-info", &"x".repeat(70_000));
    assert!(fake.identify("").unwrap_err().contains("longer"));
}

#[test]
fn a_pipe_in_the_place_of_the_file_is_not_waited_for() {
    let fake = Fake::new("0::/\n");
    let pipe = fake.0.path().join("rootfs/.flatpak-info");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(fake.identify("org.x.Other").unwrap_err().contains("it is no file"));
}

#[test]
fn snaps_by_their_cgroup_or_by_apparmor_and_never_by_what_they_say() {
    let fake = Fake::new("…/snap.phone.phone-7f0f8c2e-0f3c-4b43-9e0b-6a35f9d5d0aa.scope\n");
    assert_eq!(fake.identify("org.x.A"), is("phone_phone", AppIdSource::Sandbox));

    let fake = Fake::new("0::/user.slice/user-1000.slice/session-2.scope\n");
    fake.write("7/environ", "SNAP_INSTANCE_NAME=firefox\0SNAP_NAME=firefox\0");
    assert_eq!(fake.identify("org.x.A"), is("org.x.A", AppIdSource::Declared));
    fake.write("7/attr/current", "unconfined\n");
    assert_eq!(fake.identify("org.x.A"), is("org.x.A", AppIdSource::Declared));
    fake.write("7/attr/current", "snap.phone.dialer (enforce)\n");
    assert_eq!(fake.identify("org.x.A"), is("phone_dialer", AppIdSource::Sandbox));
    // Classic: no wall.
    fake.write("7/attr/apparmor/current", "snap.code.code (complain)\n");
    fake.write("7/attr/current", "snap.code.code (complain)\n");
    assert_eq!(fake.identify("org.x.A"), is("org.x.A", AppIdSource::Declared));
}

#[test]
fn units_name_their_app() {
    let fake = Fake::new("…/app.slice/app-callarbiter-org.x.My\\x2dPhone@1a2b.service\n");
    assert_eq!(fake.identify("org.x.Other"), is("org.x.My-Phone", AppIdSource::Unit));

    let fake = Fake::new(
        "…/app.slice/app-dbus\\x2d:1.2\\x2dorg.x.Phone.slice/dbus-:1.2-org.x.Phone@0.service\n",
    );
    assert_eq!(
        fake.identify(""),
        Err("process 7 is no app's by its unit, and declares none".into())
    );
    fake.write(
        "applications/org.x.Phone.desktop",
        "[Desktop Entry]\nType=Application\nDBusActivatable=true\n",
    );
    assert_eq!(fake.identify(""), is("org.x.Phone", AppIdSource::Unit));
}

#[test]
fn who_is_in_a_container_or_somebody_elses_is_nobody() {
    let fake = Fake::new("0::/system.slice/docker-5f2d.scope\n");
    assert!(fake.identify("org.x.A").unwrap_err().contains("does not say which app"));
    let fake = Fake::new("0::/\n");
    fake.write("7/status", "Uid:\t0\t0\t0\t0\n");
    assert!(fake.identify("org.x.A").unwrap_err().contains("does not run as user 1000"));
    fs::remove_dir_all(fake.0.path().join("7")).unwrap();
    assert!(fake.identify("org.x.A").unwrap_err().contains("cannot be read"));
}

#[test]
fn this_process_is_asked_of_the_real_kernel() {
    let who = Identifier::new(Path::new("/proc"), getuid().as_raw(), vec![]);
    let found = who.identify(std::process::id(), "org.x.Test").unwrap();
    assert!(matches!(found.1, AppIdSource::Declared | AppIdSource::Unit), "{found:?}");
}
