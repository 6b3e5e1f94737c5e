//! Where the daemon can be killed for a test: between any two things that outlive it.
//!
//! Owns the counting. Built with the feature `crash-points` only, `CALLARBITER_CRASH_AT=n` ends the process
//! by SIGKILL at the n-th point that it passes, and `CALLARBITER_CRASH_COUNT=FILE` keeps in FILE how many it
//! has passed. Without the feature a point is nothing.

#[cfg(all(feature = "crash-points", not(test)))]
pub use enumerated::{is_fine, point};
#[cfg(test)]
pub use pretended::{is_fine, point, surviving};

/// A point at which the daemon may be killed.
#[cfg(not(any(test, feature = "crash-points")))]
#[inline(always)]
pub fn point() {}

/// Whether things that could be done at once are done one by one, with a point in between. Only where points
/// are counted: every other test gets what a package gets.
#[cfg(not(any(test, feature = "crash-points")))]
#[inline(always)]
pub fn is_fine() -> bool {
    false
}

#[cfg(all(feature = "crash-points", not(test)))]
mod enumerated {
    use std::{
        env,
        fs::File,
        os::unix::fs::FileExt,
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    use rustix::process::{Signal, getpid, kill_process};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    static AT: LazyLock<Option<u64>> =
        LazyLock::new(|| env::var("CALLARBITER_CRASH_AT").ok()?.parse().ok());
    static COUNT: LazyLock<Option<File>> =
        LazyLock::new(|| File::create(env::var_os("CALLARBITER_CRASH_COUNT")?).ok());

    /// Whether anybody counts.
    pub fn is_fine() -> bool {
        AT.is_some() || COUNT.is_some()
    }

    /// A point at which the daemon may be killed.
    pub fn point() {
        let passed = PASSED.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(file) = &*COUNT {
            // The same length each time: whoever reads it never sees half a number.
            let _ = file.write_all_at(format!("{passed:010}\n").as_bytes(), 0);
        }
        if *AT == Some(passed) {
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

#[cfg(test)]
mod pretended {
    use std::{
        cell::Cell,
        panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    };

    struct Killed;

    thread_local! {
        static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// Everything that a unit test does may be stopped.
    pub fn is_fine() -> bool {
        true
    }

    /// A point at which a test's thread may be stopped.
    pub fn point() {
        match LEFT.get() {
            None => {}
            Some(0) => resume_unwind(Box::new(Killed)),
            Some(left) => LEFT.set(Some(left - 1)),
        }
    }

    /// Does something that is stopped after this many points; none if it was.
    pub fn surviving<T>(points: u64, doing: impl FnOnce() -> T) -> Option<T> {
        LEFT.set(Some(points));
        let done = catch_unwind(AssertUnwindSafe(doing));
        LEFT.set(None);
        match done {
            Ok(value) => Some(value),
            Err(cause) if cause.is::<Killed>() => None,
            Err(cause) => resume_unwind(cause),
        }
    }
}
