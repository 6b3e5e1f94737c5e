//! Lines as they are found on real systems, and what they must mean.

use super::*;

const USER: &str = "0::/user.slice/user-1000.slice/user@1000.service";

struct Case {
    name: &'static str,
    /// Below the user's service manager when it starts with `…`.
    groups: &'static str,
    unit: Option<&'static str>,
    sandbox: Option<&'static str>,
    app: Option<&'static str>,
}

const fn case(
    name: &'static str,
    groups: &'static str,
    unit: Option<&'static str>,
    sandbox: Option<&'static str>,
    app: Option<&'static str>,
) -> Case {
    Case { name, groups, unit, sandbox, app }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    // name, cgroup, unit, sandbox, app
    case("GNOME app", "…/app.slice/app-gnome-org.gnome.Calls-4242.scope",
        Some("app-gnome-org.gnome.Calls-4242.scope"), None, Some("org.gnome.Calls")),
    case("GNOME app with a dash", r"…/app.slice/app-gnome-gnome\x2dterminal-77.scope",
        Some(r"app-gnome-gnome\x2dterminal-77.scope"), None, Some("gnome-terminal")),
    case("GNOME Shell", "…/session.slice/org.gnome.Shell@wayland.service",
        Some("org.gnome.Shell@wayland.service"), None, None),
    case("GNOME autostart", r"…/app.slice/app-gnome-org.gnome.Evolution\x2dalarm\x2dnotify-1700.scope",
        Some(r"app-gnome-org.gnome.Evolution\x2dalarm\x2dnotify-1700.scope"), None, Some("org.gnome.Evolution-alarm-notify")),
    case("systemd's autostart generator", r"…/app.slice/app-org.kde.kalendarac@autostart.service",
        Some("app-org.kde.kalendarac@autostart.service"), None, Some("org.kde.kalendarac")),
    case("GLib launcher", "…/app.slice/app-glib-im.riot.Riot-99.scope",
        Some("app-glib-im.riot.Riot-99.scope"), None, Some("im.riot.Riot")),
    case("KDE app as a service", "…/app.slice/app-org.kde.kate@4f1c0d9a6b0e4a13.service",
        Some("app-org.kde.kate@4f1c0d9a6b0e4a13.service"), None, Some("org.kde.kate")),
    case("KDE app as a scope", "…/app.slice/app-org.kde.konsole-12345.scope/tab(12350).scope",
        Some("app-org.kde.konsole-12345.scope"), None, Some("org.kde.konsole")),
    case("launcher and service", "…/app.slice/app-Hyprland-org.x.Phone@1a2b.service",
        Some("app-Hyprland-org.x.Phone@1a2b.service"), None, Some("org.x.Phone")),
    case("service without a random part", "…/app.slice/app-org.x.Phone.service",
        Some("app-org.x.Phone.service"), None, Some("org.x.Phone")),
    case("slice of an app", r"…/app.slice/app-org.gnome.Terminal.slice/vte-spawn-0b0ce1f5-77aa-4a3b-9d2e-9c6c35f61e2d.scope",
        Some("vte-spawn-0b0ce1f5-77aa-4a3b-9d2e-9c6c35f61e2d.scope"), None, None),
    case("activated by the bus", r"…/app.slice/app-dbus\x2d:1.2\x2dorg.gnome.Calls.slice/dbus-:1.2-org.gnome.Calls@0.service",
        Some("dbus-:1.2-org.gnome.Calls@0.service"), None, None),
    case("too many parts", "…/app.slice/app-a-b-c-d.scope", Some("app-a-b-c-d.scope"), None, None),
    case("not an app id", r"…/app.slice/app-gnome-\x2fusr\x2fbin\x2fphone-1.scope",
        Some(r"app-gnome-\x2fusr\x2fbin\x2fphone-1.scope"), None, None),
    case("broken escape", r"…/app.slice/app-gnome-phone\xZZ-1.scope",
        Some(r"app-gnome-phone\xZZ-1.scope"), None, None),
    case("escape cut off by a character of two bytes", "…/app.slice/app-gnome-phone\\x1é-1.scope",
        Some("app-gnome-phone\\x1é-1.scope"), None, None),
    case("agent", "…/app.slice/callarbiter-agent.service", Some("callarbiter-agent.service"), None, None),
    case("agent of background.slice", "…/background.slice/callarbiter-agent.service",
        Some("callarbiter-agent.service"), None, None),
    case("kernel-safe name", "…/app.slice/_cgroup.service", Some("cgroup.service"), None, None),
    case("the service manager itself", "…/init.scope", Some("init.scope"), None, None),
    case("removed group", "…/app.slice/app-gnome-org.x.Phone-4.scope (deleted)",
        Some("app-gnome-org.x.Phone-4.scope"), None, Some("org.x.Phone")),
    case("unit that makes groups for itself", "…/app.slice/org.x.Host.service/user@1000.service/callarbiter-agent.service",
        Some("org.x.Host.service"), None, None),

    case("Flatpak", "…/app.slice/app-flatpak-org.linphone.Linphone-5121.scope",
        Some("app-flatpak-org.linphone.Linphone-5121.scope"), Some("flatpak"), Some("org.linphone.Linphone")),
    case("Flatpak with a dash", r"…/app.slice/app-flatpak-com.example.My\x2dPhone-5121.scope",
        Some(r"app-flatpak-com.example.My\x2dPhone-5121.scope"), Some("flatpak"), Some("com.example.My-Phone")),
    case("old Flatpak", "…/flatpak-org.gnome.Calls-5121.scope",
        Some("flatpak-org.gnome.Calls-5121.scope"), Some("flatpak"), Some("org.gnome.Calls")),
    case("Flatpak of an unreadable name", "…/app.slice/app-flatpak-.scope",
        Some("app-flatpak-.scope"), Some("flatpak"), None),
    case("Flatpak's own services", "…/session.slice/flatpak-portal.service",
        Some("flatpak-portal.service"), None, None),

    case("Snap", "…/app.slice/snap.telegram-desktop.telegram-desktop-7f0f8c2e-0f3c-4b43-9e0b-6a35f9d5d0aa.scope",
        Some("snap.telegram-desktop.telegram-desktop-7f0f8c2e-0f3c-4b43-9e0b-6a35f9d5d0aa.scope"),
        Some("snap"), Some("telegram-desktop_telegram-desktop")),
    case("Snap of an older snapd", "…/app.slice/snap.phone.phone.7f0f8c2e-0f3c-4b43-9e0b-6a35f9d5d0aa.scope",
        Some("snap.phone.phone.7f0f8c2e-0f3c-4b43-9e0b-6a35f9d5d0aa.scope"), Some("snap"), Some("phone_phone")),
    case("Snap's user service", "…/app.slice/snap.phone.agent.service",
        Some("snap.phone.agent.service"), Some("snap"), Some("phone_agent")),
    case("Snap's system service", "0::/system.slice/snap.phone.daemon.service", None, Some("snap"), Some("phone_daemon")),
    case("Snap's hook", "…/snap.phone.hook.configure-7f0f8c2e-0f3c-4b43-9e0b-6a35f9d5d0aa.scope",
        Some("snap.phone.hook.configure-7f0f8c2e-0f3c-4b43-9e0b-6a35f9d5d0aa.scope"), Some("snap"), None),
    case("Snap on cgroup v1", "7:freezer:/snap.phone\n1:name=systemd:/user.slice/user-1000.slice/session-2.scope\n",
        None, Some("snap"), None),

    case("plain login session", "0::/user.slice/user-1000.slice/session-2.scope", None, None, None),
    case("system service", "0::/system.slice/ModemManager.service", None, None, None),
    case("root of the tree", "0::/", None, None, None),
    case("nothing", "", None, None, None),
    case("nonsense", "what is this\n:::\n", None, None, None),
    case("outside of our namespace", "0::/../../user.slice/user-1000.slice/session-2.scope", None, None, None),
    case("not a user's manager", "0::/system.slice/user@evil.service/app-org.x.Phone-1.scope", None, None, None),

    case("cgroup v1", "12:pids:/user.slice/user-1000.slice/user@1000.service\n1:name=systemd:/user.slice/user-1000.slice/user@1000.service/app-gnome-org.x.Phone-3.scope\n0::/\n",
        Some("app-gnome-org.x.Phone-3.scope"), None, Some("org.x.Phone")),
    case("hybrid", "4:memory:/user.slice\n1:name=systemd:/user.slice/user-1000.slice/user@1000.service/apps.slice/app-org.x.Phone-3.scope\n0::/user.slice/user-1000.slice/user@1000.service/apps.slice/app-org.x.Phone-3.scope\n",
        Some("app-org.x.Phone-3.scope"), None, Some("org.x.Phone")),

    case("rootless podman", "…/user.slice/libpod-4e9c.scope/container",
        Some("libpod-4e9c.scope"), Some("user.slice/user-1000.slice/user@1000.service/user.slice/libpod-4e9c.scope"), None),
    case("podman's monitor", "…/user.slice/libpod-conmon-4e9c.scope", Some("libpod-conmon-4e9c.scope"), None, None),
    case("docker under systemd", "0::/system.slice/docker-5f2d.scope", None, Some("system.slice/docker-5f2d.scope"), None),
    case("docker on cgroup v1", "5:memory:/docker/5f2d\n1:name=systemd:/docker/5f2d\n0::/\n", None, Some("docker/5f2d"), None),
    case("docker itself", "0::/system.slice/docker.service", None, None, None),
    case("nspawn", "0::/machine.slice/systemd-nspawn@deb.service/payload/user.slice/user-1000.slice/user@1000.service/app.slice/callarbiter-agent.service",
        Some("callarbiter-agent.service"), Some("machine.slice/systemd-nspawn@deb.service"), None),
    case("LXC", "0::/lxc.payload.phone/init.scope", None, Some("lxc.payload.phone"), None),
    case("a container inside an app", "…/app.slice/app-gnome-org.gnome.Boxes-1.scope/docker-1.scope",
        Some("app-gnome-org.gnome.Boxes-1.scope"),
        Some("user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-org.gnome.Boxes-1.scope/docker-1.scope"), None),
];

#[test]
fn real_lines() {
    for case in CASES {
        let found = identity(&case.groups.replace('…', USER), None);
        let sandbox = found.sandbox.as_ref().map(|sandbox| match sandbox {
            Sandbox::Flatpak => "flatpak",
            Sandbox::Snap => "snap",
            Sandbox::Container(name) => name,
            Sandbox::Unknown => "unknown",
        });
        let found = (found.unit.as_deref(), sandbox, found.app.as_deref());
        assert_eq!(found, (case.unit, case.sandbox, case.app), "{}: {}", case.name, case.groups);
    }
}

#[test]
fn who_shares_our_container_is_not_walled_off() {
    let own = "machine.slice/systemd-nspawn@deb.service";
    let agent = format!(
        "0::/{own}/payload/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.x.Phone-1.scope"
    );
    let found = identity(&agent, Some(own));
    assert_eq!(found.sandbox, None);
    assert_eq!(found.app.as_deref(), Some("org.x.Phone"));

    let nested = format!("0::/{own}/payload/system.slice/docker-1.scope");
    assert!(identity(&nested, Some(own)).sandboxed());
}

#[test]
fn any_text_is_survived() {
    let names =
        ["app-", "app-.scope", "app-@.service", "snap.", "snap..", "_", "\\x", "app-\\x-1.scope"];
    for name in names {
        for prefix in [USER, "0::", "1:name=systemd:", ""] {
            let found = identity(&format!("{prefix}/{name}\n"), None);
            assert_eq!(found.app, None, "{prefix}/{name}");
        }
    }
}
