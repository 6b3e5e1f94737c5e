//! The daemon is killed at every point of its work, between any two things that outlive it, in every scenario;
//! another one goes on, and nobody can tell but by the time that it took: what was acknowledged is there, nothing is
//! done twice, everything under way comes to its end, and all views agree.
//!
//! By default some of the points, other ones each time; `CALLARBITER_SEED` tries the same again,
//! `CALLARBITER_CRASH_POINTS=all` tries every one. `CALLARBITER_SCENARIO` picks scenarios by a part of their
//! names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod desk;
mod scenario;

use std::cell::Cell;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use scenario::{SCENARIOS, Scenario};

/// Buses at the same time.
const AT_ONCE: usize = 4;
/// Points of one scenario that are tried by default, at equal distances; which ones, the seed says.
const TRIED: u64 = 16;

#[tokio::test]
async fn killed_at_any_point_it_goes_on() -> Result<()> {
    let all = std::env::var("CALLARBITER_CRASH_POINTS").is_ok_and(|which| which == "all");
    let only = std::env::var("CALLARBITER_SCENARIO").unwrap_or_default();
    let seed = harness::seed();
    let (mut points, mut killed, mut failures) = (0, 0, Vec::new());
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&only)) {
        match enumerate(scenario, all, seed).await {
            Ok(Tried { of, tried, hit }) => {
                let name = scenario.name;
                println!("{name:36} {of:5} points, {tried:5} tried, killed {hit:5} times");
                points += of;
                killed += hit;
            }
            Err(error) => {
                println!("{error:?}");
                failures.push(scenario.name);
            }
        }
    }
    println!("{points} points, killed {killed} times by seed {seed}");
    ensure!(failures.is_empty(), "{}", failures.join(", "));
    if only.is_empty() {
        ensure!(points > 500 && killed > 300, "there are more points than that");
    }
    Ok(())
}

struct Tried {
    of: u64,
    tried: u64,
    hit: u64,
}

async fn enumerate(scenario: &Scenario, all: bool, seed: u64) -> Result<Tried> {
    let calm = desk::play(scenario, None).await.context(scenario.name)?;
    let step = if all { 1 } else { calm.points.div_ceil(TRIED).max(1) };
    let (next, tried, hit) = (Cell::new(1 + seed % step), Cell::new(0), Cell::new(0));
    let worker = async || -> Result<()> {
        while next.get() <= calm.points {
            let point = next.replace(next.get() + step);
            let what = || format!("{}, killed at point {point}", scenario.name);
            let outcome = desk::play(scenario, Some(point)).await.with_context(what)?;
            tried.set(tried.get() + 1);
            hit.set(hit.get() + u64::from(outcome.killed));
            ensure!(
                outcome.performed == calm.performed,
                "{}: performed {:#?}, and not {:#?}",
                what(),
                outcome.performed,
                calm.performed
            );
        }
        Ok(())
    };
    try_join_all((0..AT_ONCE).map(|_| worker())).await?;
    Ok(Tried { of: calm.points, tried: tried.get(), hit: hit.get() })
}
