//! Players: what plays is paused when a call gets the audio, and goes on when the last call has gone.
//!
//! Owns which players were paused by this agent and may be resumed by it: those only, if they are paused
//! still and nobody else touched them. How a player is spoken to is [`mpris`]'s.

mod mpris;

use std::collections::{BTreeMap, BTreeSet};

use callarbiter::{Snapshot, words::AudioPhase};
use futures_util::{FutureExt, StreamExt, future::join_all};
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{debug, info, warn};
use zbus::{Connection, MessageStream};

use self::mpris::{Player, Status};
use crate::{scene::Told, trace::Trace};

/// Until it is told nothing any more.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    trace: Trace,
    resume: bool,
) {
    let mut players = Players::new(session, trace, resume);
    loop {
        tokio::select! {
            biased;
            next = told.recv() => {
                let Some(mut newest) = next else { break };
                while let Ok(newer) = told.try_recv() {
                    newest = newer;
                }
                players.follow(&newest.now).await;
            }
            (owner, status) = players.changed() => players.notice(&owner, &status),
        }
    }
    players.resume().await;
}

struct Players {
    session: Connection,
    trace: Trace,
    resume: bool,
    /// Paused by this agent, by unique name.
    paused: BTreeMap<String, Paused>,
    /// The last grant that was served: the arbiter's epoch, and the number of the grant.
    served: Option<(String, u64)>,
    /// What players say, while there is a reason to listen.
    changes: Option<MessageStream>,
}

/// A player that was asked to pause.
#[derive(Default)]
struct Paused {
    /// It said so: what it says from now on is somebody else's doing.
    confirmed: bool,
}

impl Players {
    fn new(session: Connection, trace: Trace, resume: bool) -> Players {
        // Those that an agent before this one paused and could not resume: as if it was this one.
        let left = trace.found().into_iter().map(|owner| (owner, Paused { confirmed: true }));
        let paused = left.collect();
        Players { session, trace, resume, paused, served: None, changes: None }
    }

    async fn follow(&mut self, now: &Snapshot) {
        let granted = matches!(now.audio.phase, AudioPhase::Granting | AudioPhase::Granted);
        let grant = Some((now.manager.epoch.clone(), now.audio.generation));
        if granted && now.audio.holder.is_some() && self.served != grant {
            self.served = grant;
            let calling = now.calls.values().map(|call| call.app_id.as_str()).collect();
            self.pause(&calling).await;
        }
        if now.calls.is_empty() {
            self.resume().await;
        }
    }

    /// Pauses what plays, but for the apps that call.
    async fn pause(&mut self, calling: &BTreeSet<&str>) {
        if self.changes.is_none() {
            match mpris::changes(&self.session).await {
                Ok(changes) => self.changes = Some(changes),
                Err(error) => warn!(%error, "media players cannot be watched"),
            }
        }
        let players = match mpris::players(&self.session).await {
            Ok(players) => players,
            Err(error) => return warn!(%error, "media players cannot be found"),
        };
        let looked = join_all(players.iter().map(|player| player.look())).await;
        let playing: Vec<&Player> = players
            .iter()
            .zip(looked)
            .filter(|(player, look)| {
                look.as_ref().is_some_and(|look| {
                    look.status == Status::Playing
                        && look.can_pause
                        && !player.is_one_of(calling, look)
                })
            })
            .map(|(player, _)| player)
            .collect();
        for player in &playing {
            self.paused.insert(player.owner.clone(), Paused::default());
        }
        self.keep();
        join_all(playing.iter().map(|player| player.pause())).await;
        info!(players = playing.len(), "a call has the audio: players pause");
    }

    /// Resumes those that are paused still.
    async fn resume(&mut self) {
        if self.resume && !self.paused.is_empty() {
            let owned = |owner: &String| Player::owned_by(&self.session, owner.clone());
            let players: Vec<Player> = self.paused.keys().map(owned).collect();
            let looks = join_all(players.iter().map(Player::look)).await;
            // Whatever a player said before it was looked at has arrived.
            while let Some((owner, status)) = self.changed().now_or_never() {
                self.notice(&owner, &status);
            }
            let go_on: Vec<&Player> = players
                .iter()
                .zip(looks)
                .filter(|(player, look)| {
                    let paused = look.as_ref().is_some_and(|look| look.status == Status::Paused);
                    paused && self.paused.contains_key(&player.owner)
                })
                .map(|(player, _)| player)
                .collect();
            join_all(go_on.iter().map(|player| player.play())).await;
            info!(players = go_on.len(), "the last call has gone: players go on");
        }
        self.changes = None;
        self.paused.clear();
        self.keep();
    }

    /// The next player that says what it does; never, while there is no reason to listen.
    async fn changed(&mut self) -> (String, Status) {
        while let Some(changes) = &mut self.changes {
            match changes.next().await {
                Some(Ok(message)) => {
                    if let Some(change) = mpris::status_in(&message) {
                        return change;
                    }
                }
                Some(Err(error)) => debug!(%error, "a player's words cannot be read"),
                None => self.changes = None,
            }
        }
        std::future::pending().await
    }

    fn notice(&mut self, owner: &str, status: &Status) {
        let Some(paused) = self.paused.get_mut(owner) else { return };
        match status {
            Status::Paused => paused.confirmed = true,
            _ if paused.confirmed => {
                debug!("the user took a player back");
                self.paused.remove(owner);
                self.keep();
            }
            _ => {}
        }
    }

    fn keep(&self) {
        self.trace.keep(self.paused.keys().map(String::as_str));
    }
}
