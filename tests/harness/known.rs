//! An observer that knows nothing but signals, and numbers without a pattern.
//!
//! Owns how a snapshot and the changes after it become a view; comparing it with the truth is a test's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use zbus::{Message, OwnedObjectPath, OwnedVariant, Variant};

use crate::{View, interface};

/// The interfaces of an object, with their properties as text.
pub type Interfaces = BTreeMap<String, BTreeMap<String, String>>;
type Changed = HashMap<String, OwnedVariant>;

/// A number that says how to repeat the run.
pub fn seed() -> u64 {
    let given = std::env::var("CALLARBITER_SEED").ok().and_then(|text| text.parse().ok());
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = given.unwrap_or_else(now);
    println!("CALLARBITER_SEED={seed}");
    seed
}

/// Small numbers without a pattern (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % sides
    }

    /// One of them, if there are any.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.throw(of.len())].clone())
    }
}

/// What an observer knows: a snapshot, and then signals alone.
#[derive(Debug, PartialEq)]
pub struct Known {
    /// The domain's number of changes.
    pub revision: u64,
    /// Objects by path, interface and property.
    pub objects: BTreeMap<String, Interfaces>,
}

impl Known {
    /// What the manager counts when it is read is not signalled.
    pub fn from(view: View) -> Known {
        let mut objects = BTreeMap::new();
        for (path, interfaces) in view.objects {
            let shown = |(name, properties): (String, BTreeMap<String, OwnedVariant>)| {
                let texts = properties.into_iter().map(|(name, value)| (name, text(&value)));
                (name, texts.collect())
            };
            let kept = interfaces.into_iter().filter(|(name, _)| *name != interface("Manager"));
            objects.insert(path, kept.map(shown).collect());
        }
        Known { revision: view.revision, objects }
    }

    /// What is wrong in it, a line each.
    pub fn differences(&self, truth: &Known) -> Vec<String> {
        let lines = |known: &Known| -> BTreeSet<String> {
            let properties = known.objects.iter().flat_map(|(path, interfaces)| {
                interfaces
                    .values()
                    .flatten()
                    .map(move |(name, value)| format!("{path} {name} {value}"))
            });
            properties.chain(known.objects.keys().cloned()).collect()
        };
        let (known, truth) = (lines(self), lines(truth));
        let wrong = known.difference(&truth).map(|line| format!("known: {line}"));
        wrong.chain(truth.difference(&known).map(|line| format!("truth: {line}"))).collect()
    }

    /// What is under way; all of it must be over when every deadline has passed.
    pub fn pending(&self) -> Vec<String> {
        let mut pending = Vec::new();
        for (path, interfaces) in &self.objects {
            let value = |of: &str, name: &str| {
                let properties = interfaces.get(&interface(of))?;
                Some(properties.get(name)?.trim_matches('"').to_owned())
            };
            let mut expect = |of: &str, name: &str, settled: &[&str]| {
                if let Some(value) = value(of, name)
                    && !settled.contains(&&*value)
                {
                    pending.push(format!("{path}: {name} is {value}"));
                }
            };
            expect("Transaction", "State", &["finished"]);
            expect("Call", "State", &["ringing", "active", "held"]);
            expect("Call", "Orphaned", &["false"]);
            expect("AudioSession", "Phase", &["idle", "granted"]);
        }
        pending
    }

    /// The next change, whose number must be the next one.
    pub fn apply(&mut self, signal: &Message) -> Result<()> {
        let (header, body) = (signal.header(), signal.body());
        let path = header.path().map(ToString::to_string).unwrap_or_default();
        let member = header.member().map(ToString::to_string).unwrap_or_default();
        self.revision += 1;
        let carried = match member.as_str() {
            "InterfacesAdded" => {
                let (path, added): (OwnedObjectPath, HashMap<String, Changed>) =
                    body.deserialize()?;
                let object = self.objects.entry(path.to_string()).or_default();
                ensure!(object.is_empty(), "{path} is added twice");
                let mut revision = None;
                for (name, properties) in added {
                    revision = revision.or(number(&properties));
                    object.insert(name, texts(&properties).collect());
                }
                revision
            }
            "PropertiesChanged" => {
                let (of, changed, _): (String, Changed, Vec<String>) = body.deserialize()?;
                let object = self.objects.get_mut(&path).context("a change of nothing")?;
                object.entry(of).or_default().extend(texts(&changed));
                number(&changed)
            }
            "InterfacesRemoved" => {
                let (path, _): (OwnedObjectPath, Vec<String>) = body.deserialize()?;
                let gone = self.objects.remove(path.as_str());
                ensure!(gone.is_some(), "{path} was not there");
                None
            }
            "Transition" => {
                let (old, new, _, revision): (String, String, String, u64) = body.deserialize()?;
                ensure!(old != new, "no transition");
                Some(revision)
            }
            "Finished" => Some(body.deserialize::<(Vec<(String, Changed)>, u64)>()?.1),
            "Notice" => Some(body.deserialize::<(String, OwnedObjectPath, String, u64)>()?.3),
            other => bail!("{other} is no change"),
        };
        let right = carried.is_none_or(|carried| carried == self.revision);
        ensure!(right, "{member} is number {carried:?} and not {}", self.revision);
        Ok(())
    }
}

fn number(properties: &Changed) -> Option<u64> {
    properties.get("Revision").and_then(|value| u64::try_from(value.try_clone().ok()?).ok())
}

fn texts(properties: &Changed) -> impl Iterator<Item = (String, String)> + '_ {
    properties.iter().map(|(name, value)| (name.clone(), text(value)))
}

fn text(value: &OwnedVariant) -> String {
    Variant::from(value.try_clone().unwrap()).to_string()
}
