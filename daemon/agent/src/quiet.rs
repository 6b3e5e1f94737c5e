//! Do-not-disturb: what the desktop says of it, the arbiter is told.
//!
//! Owns when it is looked at: whenever the desktop says that something changed, and for each call that comes,
//! since not every server tells. Where a desktop keeps it is `servers`' and GNOME's settings'. What follows
//! for calls, the arbiter decides.

mod mako;
mod servers;

use std::env;

use callarbiter::{CallState, Change};
use callarbiter_dbus::DoNotDisturbOptions;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{info, warn};
use zbus::Connection;

use self::servers::Servers;
use crate::{
    arbiter::{self, Desk},
    config,
    scene::Told,
    settings::Watched,
};

/// Off: GNOME shows no banners, and that is its do-not-disturb.
const BANNERS: (&str, &str) = ("org.gnome.desktop.notifications", "show-banners");

/// Until it is told nothing any more; the arbiter forgets it with the role.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    desk: Desk,
    wishes: config::DoNotDisturb,
) {
    let mut servers = match Servers::follow(&session, wishes.modes).await {
        Ok(servers) => servers,
        Err(error) => return warn!(%error, "do-not-disturb cannot be read"),
    };
    // The setting outlives GNOME: in another desktop nobody could see why nothing rings.
    let mut banners = None;
    if is_gnome() {
        banners = Some(Watched::follow(&session, BANNERS.0, BANNERS.1).await);
    }
    let options = DoNotDisturbOptions { quiet: wishes.quiet, allow: wishes.allow };
    // What this arbiter was told last.
    let mut known = None;
    loop {
        tokio::select! {
            biased;
            next = told.recv() => match next.map(|told| told.change) {
                None => return,
                // Another arbiter, or the same without its memory: it is told again.
                Some(Change::ArbiterBack | Change::Resynced) => known = None,
                Some(Change::CallAdded(call)) if call.state != CallState::Ended => {}
                Some(_) => continue,
            },
            () = servers.changed() => {}
            () = changed(&mut banners) => {}
        }
        let banners = banners.as_ref().is_none_or(|banners| banners.flag() != Some(false));
        let on = !banners || servers.is_on().await;
        if known != Some(on) {
            match desk.set_do_not_disturb(on, &options).await {
                Ok(()) => info!(on, "do-not-disturb"),
                Err(error) => arbiter::not_told("of do-not-disturb", error),
            }
        }
        known = Some(on);
    }
}

async fn changed(setting: &mut Option<Watched>) {
    match setting {
        Some(setting) => setting.changed().await,
        None => std::future::pending().await,
    }
}

fn is_gnome() -> bool {
    let desktops = env::var("XDG_CURRENT_DESKTOP").unwrap_or_default();
    desktops.split(':').any(|desktop| desktop.eq_ignore_ascii_case("gnome"))
}
