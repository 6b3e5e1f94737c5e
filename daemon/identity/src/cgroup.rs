//! What `/proc/PID/cgroup` means: systemd's names for units, and the names that sandboxes give to theirs.
//!
//! Pure: text in, [`Identity`] out. A user's own processes may choose among the names below their service
//! manager, so these tell programs apart, not attackers; a sandboxed app cannot leave its own.

use callarbiter_dbus::limits::is_app_id;

use super::{Identity, Sandbox};

/// Reads the file's text; `own` is the container in which this daemon runs.
pub fn identity(groups: &str, own: Option<&str>) -> Identity {
    let path: Vec<&str> = components(path_of_units(groups)).collect();
    let container = container(&path);
    let walled = container.as_ref().filter(|(_, name)| own != Some(name));
    let inside = container.as_ref().map_or(0, |(end, _)| if walled.is_some() { 0 } else { *end });
    let unit = user_unit(path.get(inside..).unwrap_or_default());
    let snap = groups.lines().flat_map(|line| components(path_of(line))).find_map(snap);

    let (sandbox, app) = if let Some((_, name)) = walled {
        (Some(Sandbox::Container(name.clone())), None)
    } else if let Some(app) = snap {
        (Some(Sandbox::Snap), app)
    } else if let Some(app) = unit.and_then(flatpak) {
        (Some(Sandbox::Flatpak), app)
    } else {
        (None, unit.and_then(app_of_unit))
    };
    Identity { unit: unit.map(str::to_owned), sandbox, app: app.filter(|app| is_app_id(app)) }
}

/// The path in the hierarchy in which systemd keeps its units: the unified one (v2), unless a v1 system
/// mounts it without using it.
fn path_of_units(groups: &str) -> &str {
    let of = |prefix: &str| groups.lines().find(|line| line.starts_with(prefix)).map(path_of);
    let named = groups.lines().find(|line| line.contains(":name=systemd:")).map(path_of);
    match of("0::") {
        Some(path) if path != "/" => path,
        unified => named.or(unified).unwrap_or("/"),
    }
}

/// `hierarchy:controllers:path`, the path of a group that was removed marked as such.
fn path_of(line: &str) -> &str {
    let path = line.splitn(3, ':').nth(2).unwrap_or("/");
    path.strip_suffix(" (deleted)").unwrap_or(path)
}

/// systemd puts `_` before names that the kernel would take for its own files.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter(|name| !name.is_empty())
        .map(|name| name.strip_prefix('_').unwrap_or(name))
}

/// The first unit below the user's service manager that is not a slice; what is further down, the unit
/// made for itself.
fn user_unit<'a>(path: &[&'a str]) -> Option<&'a str> {
    let is_manager = |name: &&str| {
        name.strip_prefix("user@")
            .and_then(|rest| rest.strip_suffix(".service"))
            .is_some_and(is_number)
    };
    let manager = path.iter().position(is_manager)?;
    let unit = path.iter().skip(manager + 1).find(|name| !name.ends_with(".slice"))?;
    (unit.ends_with(".service") || unit.ends_with(".scope")).then_some(*unit)
}

/// The innermost container: where its name ends in the path, and the path up to there.
fn container(path: &[&str]) -> Option<(usize, String)> {
    let parents = std::iter::once("").chain(path.iter().copied());
    let names = path.iter().zip(parents).enumerate();
    let innermost = names.filter(|(_, (name, parent))| is_container(name, parent)).last()?.0;
    let end = innermost + 1;
    Some((end, path.get(..end)?.join("/")))
}

fn is_container(name: &str, parent: &str) -> bool {
    const SCOPES: [&str; 7] =
        ["libpod-", "docker-", "crio-", "cri-containerd-", "nerdctl-", "machine-", "buildkit-"];
    if let Some(scope) = name.strip_suffix(".scope") {
        return SCOPES.iter().any(|prefix| scope.starts_with(prefix))
            && !scope.starts_with("libpod-conmon-");
    }
    name.starts_with("systemd-nspawn@")
        || name.starts_with("lxc.payload.")
        || (matches!(parent, "docker" | "lxc" | "libpod_parent" | "actions_job")
            && !name.ends_with(".service"))
}

/// `snap.NAME.APP-UUID.scope`, with a dot before the UUID in older snapd, `snap.NAME.APP.service`,
/// `snap.NAME.hook.HOOK-UUID.scope`, and `snap.NAME` in the freezer of v1. Inside: `NAME_APP`, as
/// its desktop file is called.
fn snap(component: &str) -> Option<Option<String>> {
    let rest = component.strip_prefix("snap.")?;
    if rest.ends_with(".slice") {
        return None;
    }
    let rest = rest.strip_suffix(".scope").or(rest.strip_suffix(".service")).unwrap_or(rest);
    let (name, app) = rest.split_once('.').unwrap_or((rest, ""));
    let app = match app.len().checked_sub(UUID + 1).and_then(|end| app.split_at_checked(end)) {
        Some((app, uuid)) if is_uuid(uuid.get(1..).unwrap_or_default()) => app,
        _ => app,
    };
    let hook = app == "hook" || app.starts_with("hook.");
    Some((!app.is_empty() && !hook).then(|| format!("{name}_{app}")))
}

const UUID: usize = 36;

fn is_uuid(text: &str) -> bool {
    text.len() == UUID && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// `app-flatpak-APP-PID.scope`; `flatpak-APP-PID.scope` before 1.8.
fn flatpak(unit: &str) -> Option<Option<String>> {
    let scope = unit.strip_suffix(".scope")?;
    let rest = scope.strip_prefix("app-").unwrap_or(scope).strip_prefix("flatpak-")?;
    Some(rest.rsplit_once('-').and_then(|(app, _)| unescape(app)))
}

/// The desktop's convention for units of apps (XDG, "Desktop environment integration" of systemd):
/// `app[-LAUNCHER]-ID-RANDOM.scope` and `app[-LAUNCHER]-ID[@RANDOM].service`, each part escaped, so that
/// a `-` always separates.
fn app_of_unit(unit: &str) -> Option<String> {
    let rest = unit.strip_prefix("app-")?;
    if let Some(scope) = rest.strip_suffix(".scope") {
        let parts: Vec<&str> = scope.split('-').collect();
        match parts.as_slice() {
            [id] | [id, _] | [_, id, _] => unescape(id),
            _ => None,
        }
    } else {
        let service = rest.strip_suffix(".service")?;
        let name = service.split_once('@').map_or(service, |(name, _)| name);
        let parts: Vec<&str> = name.split('-').collect();
        match parts.as_slice() {
            [id] | [_, id] => unescape(id),
            _ => None,
        }
    }
}

/// systemd's escaping: `\xNN` is that byte.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(escaped.get(..2)?, 16).ok()?);
        rest = escaped.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
