//! What must be true in the end, after whatever happened on the way.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use harness::{Known, NAME, ROOT, Refused, interface};

use super::Desk;
use crate::scenario::{Scenario, uuid_of};

impl Desk {
    /// Where everything stands in the end, to everybody.
    pub(super) async fn check(&mut self, scenario: &Scenario) -> Result<()> {
        self.rest().await?;
        let promised: Vec<_> = self.promised.clone().into_iter().collect();
        for (token, (acts, path)) in promised {
            let again = self.request(&acts, &token).await?;
            ensure!(again == path, "{path} was promised, and is {again}");
        }
        // A kill may still be to come where nobody said anything since.
        let known = Known::from(self.repeat(async |user| user.view().await).await??);
        let mut calls = BTreeMap::new();
        for interfaces in known.objects.values() {
            if let Some(call) = interfaces.get(&interface("Call")) {
                let text = |name: &str| call[name].trim_matches('"').to_owned();
                calls.insert(text("Id"), text("State"));
            }
        }
        let expected: BTreeMap<String, String> = scenario
            .end
            .iter()
            .map(|(line, state)| (uuid_of(*line), (*state).to_owned()))
            .collect();
        ensure!(calls == expected, "{calls:?}, not {expected:?}");
        for app in self.apps.iter().filter(|app| app.peer.is_some()) {
            for (uuid, state) in &app.calls {
                let told = calls.get(uuid).map(String::as_str);
                // One that hung was given up.
                let right = told == Some(*state) || (told.is_none() && scenario.short);
                ensure!(right || app.mood != harness::Mood::Obeys, "{uuid}: {told:?}, not {state}");
            }
        }
        let audio = &known.objects[ROOT][&interface("AudioSession")];
        let active = calls.values().any(|state| state == "active");
        ensure!((audio["Phase"] == "\"granted\"") == active, "the audio: {audio:?}");
        let told = self.apps.iter().filter(|app| app.audio.is_some()).count();
        ensure!(told == usize::from(active), "{told} apps think that they have the audio");
        while let Err(error) = self.witness.agrees(&self.user).await {
            // Being looked at is the last thing that it is killed at.
            let refused = error.downcast_ref::<Refused>();
            ensure!(refused.is_some_and(Refused::is_interruption), "{error:#}");
            self.restart().await?;
        }
        if let Some(watcher) = &self.watcher {
            ensure!(watcher.owner(NAME).await?.is_some());
        }
        if self.daemon.process.ended().is_some() {
            // After all was said; `restart` allows it once.
            self.restart().await?;
            self.settle().await?;
            self.witness.agrees(&self.user).await?;
        }
        Ok(())
    }
}
