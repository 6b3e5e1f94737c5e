//! Power: while a call rings or goes on, the machine does not fall asleep by itself and the screen stays on.
//!
//! Owns when that is: exactly while a call rings, is being made or is active. A call that is only held keeps
//! nobody awake, or a laptop would never sleep over a forgotten one. Who is asked is [`logind`]'s and
//! [`screensaver`]'s; both words are neutral, since every user of the machine may read them.

mod logind;
mod screensaver;

use std::time::Duration;

use callarbiter::{CallState, Snapshot};
use tokio::sync::{mpsc::UnboundedReceiver, watch};

use crate::scene::{Told, goes_on};

/// Who asks.
const WHO: &str = "Callarbiter";
/// Why.
const WHY: &str = "A call rings or is active";

/// How long somebody may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Until it is told nothing any more; then everything is released. `lid`: a closed lid waits as well.
pub async fn run(mut told: UnboundedReceiver<Told>, lid: bool) {
    let (awake, wanted) = watch::channel(false);
    let follow = async move {
        while let Some(mut newest) = told.recv().await {
            while let Ok(newer) = told.try_recv() {
                newest = newer;
            }
            let needed = is_needed(&newest.now);
            awake.send_if_modified(|awake| std::mem::replace(awake, needed) != needed);
        }
        // Who waits for a turn would else be told the last one again and again.
        awake.send_replace(false);
    };
    tokio::join!(follow, logind::run(wanted.clone(), lid), screensaver::run(wanted));
}

fn is_needed(now: &Snapshot) -> bool {
    now.calls.values().any(|call| call.state == CallState::Ringing || goes_on(call))
}

/// Waits until it is wanted, or not any more; none when nobody will say so again.
async fn turns(wanted: &mut watch::Receiver<bool>, to: bool) -> Option<()> {
    wanted.wait_for(|wanted| *wanted == to).await.ok().map(drop)
}

/// When a bus is tried again that was not there: soon at first, later seldom.
struct Pause(Duration);

impl Pause {
    const FIRST: Pause = Pause(Duration::from_secs(1));
    const LONGEST: Duration = Duration::from_secs(60);

    async fn pass(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = Pause::LONGEST.min(self.0 * 2);
    }
}
