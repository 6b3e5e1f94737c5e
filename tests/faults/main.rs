//! The fault model over a real bus: apps that hang, die, lie, stutter, answer in the wrong order and come back,
//! programs that come and go, and a daemon that is killed: nobody loses anything, and everybody agrees.
//!
//! A minute by default. `CALLARBITER_FAULTS=90m` plays as many minutes, `CALLARBITER_FAULTS=500` as many cases;
//! `CALLARBITER_SEED` begins with that case: the same seed decides the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod plan;
mod stage;

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use stage::Counts;

/// Cases at the same time: most of each is waiting for deadlines.
const AT_ONCE: usize = 4;

enum Budget {
    Time(Duration),
    Cases(u64),
}

#[tokio::test]
async fn whatever_fails_nobody_loses_anything() -> Result<()> {
    let budget = match std::env::var("CALLARBITER_FAULTS").ok() {
        None => Budget::Time(Duration::from_secs(60)),
        Some(text) => match text.strip_suffix('m') {
            Some(minutes) => Budget::Time(Duration::from_secs(60 * minutes.parse::<u64>()?)),
            None => Budget::Cases(text.parse()?),
        },
    };
    let first = harness::seed();
    let begun = Instant::now();
    let (next, counts) = (Cell::new(0), Cell::new(Counts::default()));
    let worker = async || -> Result<()> {
        loop {
            let case = next.get();
            let over = match budget {
                Budget::Time(time) => begun.elapsed() >= time && case >= AT_ONCE as u64,
                Budget::Cases(cases) => case >= cases,
            };
            if over {
                return Ok(());
            }
            next.set(case + 1);
            let seed = first.wrapping_add(case);
            let played = stage::play(seed).await.with_context(|| {
                format!("once more: CALLARBITER_SEED={seed} CALLARBITER_FAULTS=1")
            })?;
            let mut all = counts.get();
            all += played;
            counts.set(all);
        }
    };
    try_join_all((0..AT_ONCE).map(|_| worker())).await?;
    println!("{} cases: {:?}", next.get(), counts.get());
    Ok(())
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..100 {
        assert_eq!(plan::of(seed), plan::of(seed));
    }
    assert_ne!(plan::of(1), plan::of(2));
}
