//! How fast each user's apps may report.
//!
//! Owns one allowance a user, refilled by time. What ends a call or answers a request is not charged: each
//! is one of something that was.

use callarbiter_core::{Time, Uid};
use callarbiter_dbus::Error;

use super::{admission, fault, numbers::ByNumber};

/// In reports times microseconds a second, so that nothing is lost to rounding.
const ONE: u64 = 1_000_000;

struct Allowance {
    left: u64,
    at: Time,
}

/// The allowances of all users.
#[derive(Default)]
pub struct Rates {
    of: ByNumber<Uid, Allowance>,
}

impl Rates {
    /// Charges a report, or refuses it.
    pub fn charge(&mut self, now: Time, uid: Uid, per_second: u32) -> Result<(), Error> {
        let most = u64::from(per_second) * admission::REPORT_BURST_SECONDS * ONE;
        let allowance = self.of.entry(uid).or_insert(Allowance { left: most, at: now });
        let elapsed = now.0.saturating_sub(allowance.at.0);
        let refill = elapsed.saturating_mul(u64::from(per_second));
        allowance.left = allowance.left.saturating_add(refill).min(most);
        allowance.at = now;
        if let Some(left) = allowance.left.checked_sub(ONE) {
            allowance.left = left;
            return Ok(());
        }
        Err(fault::limit(format!(
            "apps of this user report more than {per_second} times a second (limit \
             `reports-per-second`); report this again in a second if it is still true"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_so_many_a_second_and_each_user_for_itself() {
        let mut rates = Rates::default();
        let charge = |rates: &mut Rates, uid, at| rates.charge(Time(at), Uid(uid), 10).is_ok();
        let burst = 10 * admission::REPORT_BURST_SECONDS;
        for _ in 0..burst {
            assert!(charge(&mut rates, 1, 5));
        }
        assert!(!charge(&mut rates, 1, 5));
        assert!(!charge(&mut rates, 1, 5 + ONE / 10 - 1));
        assert!(charge(&mut rates, 1, 5 + ONE / 10), "nothing was lost meanwhile");
        assert!(!charge(&mut rates, 1, 5 + ONE / 10));
        assert!(charge(&mut rates, 2, 5));
        let rested = 1000 * ONE;
        let again = (0..1000).filter(|_| charge(&mut rates, 1, rested)).count();
        assert_eq!(u64::try_from(again), Ok(burst));
    }
}
