//! Somebody who follows the calls by the changes alone, and must end up with what is.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use callarbiter::{Call, CallPath, Change, Events, Uuid};
use harness::PATIENCE;
use tokio::time::timeout;

use crate::stage::Scene;

/// Knows only the changes that it was told, beginning with a snapshot.
pub struct Observer {
    events: Events,
    calls: BTreeMap<CallPath, Call>,
}

impl Observer {
    pub async fn start(scene: &Scene) -> Result<Observer> {
        let events = Events::subscribe(&scene.connection().await?).await?;
        let calls = events.snapshot().calls.clone();
        Ok(Observer { events, calls })
    }

    /// Waits until these are the calls.
    pub async fn sees(&mut self, wanted: &[(Uuid, &str)]) -> Result<()> {
        let mut wanted: Vec<_> =
            wanted.iter().map(|(call, state)| (*call, (*state).to_owned())).collect();
        wanted.sort();
        let what = format!("{wanted:?}");
        self.until(&what, |calls| {
            let seen = calls.iter().map(|call| (call.id, call.state.to_string()));
            let mut seen: Vec<_> = seen.collect();
            seen.sort();
            seen == wanted
        })
        .await
    }

    pub async fn until(&mut self, what: &str, is_so: impl Fn(&[&Call]) -> bool) -> Result<()> {
        let looked = timeout(PATIENCE, async {
            loop {
                if is_so(&self.calls.values().collect::<Vec<_>>()) {
                    return Ok(());
                }
                match self.events.next().await.context("the stream has ended")? {
                    Change::CallAdded(call) => {
                        let known = self.calls.insert(call.object, *call);
                        assert!(known.is_none(), "added twice: {known:?}");
                    }
                    Change::CallChanged { call, .. } => {
                        let known = self.calls.insert(call.object, *call);
                        assert!(known.is_some(), "changed, and never added");
                    }
                    Change::CallRemoved(call) => {
                        assert!(
                            self.calls.remove(&call.object).is_some(),
                            "removed, and not there"
                        );
                    }
                    _ => {}
                }
            }
        })
        .await;
        match looked {
            Ok(done) => done,
            Err(_) => bail!("did not come: {what}; it sees {:?}", self.calls.values()),
        }
    }

    /// What it was told is what somebody new is shown.
    pub async fn equals(&mut self, scene: &Scene) -> Result<()> {
        let fresh = Events::subscribe(&scene.connection().await?).await?.snapshot().calls.clone();
        let what = format!("{fresh:?}");
        self.until(&what, |calls| calls.iter().copied().eq(fresh.values())).await
    }
}
