//! What was sent to each connection and is not known to have been read.
//!
//! Owns the account and the questions (`Ping`) whose answers settle it. A bus keeps what its receiver does
//! not read, charges it to the *sender*, and beyond a bound takes nothing more from that sender: two
//! connections that never read could silence the daemon for everybody. So each user has a bound well
//! below it; a connection over its share of it gets an error instead of a reply, and then nothing.

use std::{collections::BTreeMap, num::NonZeroU32};

use callarbiter_core::{Peer, Time, Uid};

use super::{admission, numbers::ByNumber};

#[derive(Default)]
struct Debt {
    /// Settled by the answer to the open question.
    asked_about: usize,
    /// Sent after that question, or since the last answer.
    since: usize,
    asked: bool,
}

impl Debt {
    fn total(&self) -> usize {
        self.asked_about + self.since
    }
}

#[derive(Default)]
struct Account {
    bytes: usize,
    questions: usize,
    forgiven_at: Time,
}

/// What a message that is to be sent means for its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// It may be sent.
    Good,
    /// Nothing but a word of refusal may be sent.
    Spent,
    /// Nothing at all.
    None,
}

/// All connections' debts.
#[derive(Default)]
pub struct Debts {
    of: BTreeMap<(Uid, Peer), Debt>,
    of_user: ByNumber<Uid, Account>,
    questions: ByNumber<NonZeroU32, (Uid, Peer)>,
}

impl Debts {
    /// Whether a connection may be sent so much.
    pub fn credit(&mut self, now: Time, uid: Uid, peer: Peer, bytes: usize) -> Credit {
        let Some(account) = self.of_user.get_mut(&uid) else { return Credit::Good };
        account.forgive(now);
        if account.bytes + bytes <= admission::UNREAD_BYTES_PER_USER {
            return Credit::Good;
        }
        let own = self.of.get(&(uid, peer)).map_or(0, Debt::total);
        if own + bytes <= admission::UNREAD_BYTES_SHARE {
            return Credit::Good;
        }
        let last = admission::UNREAD_BYTES_PER_USER + admission::UNREAD_REFUSAL_BYTES;
        if account.bytes <= last { Credit::Spent } else { Credit::None }
    }

    /// So much was sent to a connection, and is not known to have been read.
    pub fn of(&self, uid: Uid, peer: Peer) -> usize {
        self.of.get(&(uid, peer)).map_or(0, Debt::total)
    }

    /// So much is sent to a connection. True if it has to be asked whether it has read that.
    pub fn sent(&mut self, now: Time, uid: Uid, peer: Peer, bytes: usize) -> bool {
        let account = self.of_user.entry(uid).or_default();
        account.forgive(now);
        account.bytes += bytes;
        let debt = self.of.entry((uid, peer)).or_default();
        debt.since += bytes;
        // Where there is little credit left, whoever reads can soon show it.
        let scarce = account.bytes > admission::UNREAD_BYTES_PER_USER / 2;
        let silent =
            if scarce { admission::UNREAD_BYTES_SHARE / 4 } else { admission::UNREAD_BYTES };
        debt.since > silent
            && !debt.asked
            && self.questions.len() < admission::BARRIERS
            && account.questions < admission::BARRIERS_PER_USER
    }

    /// The question was sent; what is sent from here on is not covered by its answer.
    pub fn asked(&mut self, uid: Uid, peer: Peer, serial: NonZeroU32) {
        let debt = self.of.entry((uid, peer)).or_default();
        debt.asked = true;
        debt.asked_about += std::mem::take(&mut debt.since);
        self.of_user.entry(uid).or_default().questions += 1;
        self.questions.insert(serial, (uid, peer));
    }

    /// Whose question this serial is.
    pub fn question(&self, serial: NonZeroU32) -> Option<(Uid, Peer)> {
        self.questions.get(&serial).copied()
    }

    /// A connection has read everything up to the question; what was sent since.
    pub fn answered(&mut self, serial: NonZeroU32) -> usize {
        let Some((uid, peer)) = self.close(serial) else { return 0 };
        let Some(debt) = self.of.get_mut(&(uid, peer)) else { return 0 };
        let paid = std::mem::take(&mut debt.asked_about);
        if let Some(account) = self.of_user.get_mut(&uid) {
            account.bytes = account.bytes.saturating_sub(paid);
        }
        debt.since
    }

    /// The bus could not deliver the question: nothing is settled.
    pub fn question_lost(&mut self, serial: NonZeroU32) {
        self.close(serial);
    }

    /// A connection left, and the bus dropped what it had not read.
    pub fn left(&mut self, uid: Uid, peer: Peer) {
        let Some(debt) = self.of.remove(&(uid, peer)) else { return };
        if debt.asked {
            self.questions.retain(|_, who| *who != (uid, peer));
        }
        let Some(account) = self.of_user.get_mut(&uid) else { return };
        account.bytes = account.bytes.saturating_sub(debt.total());
        account.questions -= usize::from(debt.asked);
        let range = (uid, Peer(0))..=(uid, Peer(u64::MAX));
        if self.of.range(range).next().is_none() {
            self.of_user.remove(&uid);
        }
    }

    #[cfg(test)]
    fn unread(&self, uid: Uid) -> usize {
        self.of_user.get(&uid).map_or(0, |account| account.bytes)
    }

    fn close(&mut self, serial: NonZeroU32) -> Option<(Uid, Peer)> {
        let (uid, peer) = self.questions.remove(&serial)?;
        if let Some(debt) = self.of.get_mut(&(uid, peer)) {
            debt.asked = false;
        }
        if let Some(account) = self.of_user.get_mut(&uid) {
            account.questions = account.questions.saturating_sub(1);
        }
        Some((uid, peer))
    }
}

impl Account {
    /// Some clients read and never answer a `Ping`: what they got long ago they have read.
    fn forgive(&mut self, now: Time) {
        let elapsed = now.0.saturating_sub(self.forgiven_at.0) / 1_000_000;
        if self.bytes == 0 || self.forgiven_at == Time::default() {
            self.forgiven_at = now;
        } else if elapsed > 0 {
            let forgiven = usize::try_from(elapsed).unwrap_or(usize::MAX);
            let forgiven = forgiven.saturating_mul(admission::FORGIVEN_BYTES_PER_SECOND);
            self.bytes = self.bytes.saturating_sub(forgiven);
            self.forgiven_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MINE: Uid = Uid(1000);
    const DEAF: Peer = Peer(1);
    const OTHER: Peer = Peer(2);
    const NOW: Time = Time(1_000_000);

    fn serial(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn who_reads_is_never_refused() {
        let mut debts = Debts::default();
        for n in 1..1000 {
            assert_eq!(debts.credit(NOW, MINE, DEAF, 100_000), Credit::Good);
            if debts.sent(NOW, MINE, DEAF, 100_000) {
                debts.asked(MINE, DEAF, serial(n));
                debts.answered(serial(n));
            }
        }
        assert_eq!(debts.unread(MINE), 0);
    }

    #[test]
    fn who_does_not_read_is_refused_and_then_not_answered_and_nobody_else_is() {
        let mut debts = Debts::default();
        let mut asked = 0;
        while debts.credit(NOW, MINE, DEAF, 1000) == Credit::Good {
            if debts.sent(NOW, MINE, DEAF, 1000) {
                asked += 1;
                debts.asked(MINE, DEAF, serial(asked));
            }
        }
        assert_eq!(asked, 1, "one question at a time");
        assert!(debts.unread(MINE) <= admission::UNREAD_BYTES_PER_USER);
        while debts.credit(NOW, MINE, DEAF, 1000) == Credit::Spent {
            debts.sent(NOW, MINE, DEAF, 200);
        }
        assert_eq!(debts.credit(NOW, MINE, DEAF, 1), Credit::None);
        assert_eq!(debts.credit(NOW, MINE, OTHER, 1000), Credit::Good, "it reads");
        assert_eq!(debts.credit(NOW, Uid(1001), OTHER, 1_000_000), Credit::Good);
        debts.left(MINE, DEAF);
        assert_eq!((debts.unread(MINE), debts.questions.len()), (0, 0));
        assert_eq!(debts.credit(NOW, MINE, OTHER, 1_000_000), Credit::Good);
    }

    #[test]
    fn one_who_reads_is_asked_sooner_where_others_do_not() {
        let mut debts = Debts::default();
        debts.sent(NOW, MINE, DEAF, admission::UNREAD_BYTES_PER_USER);
        for n in 1..1000 {
            assert_eq!(debts.credit(NOW, MINE, OTHER, 1000), Credit::Good);
            if debts.sent(NOW, MINE, OTHER, 1000) {
                debts.asked(MINE, OTHER, serial(n));
                debts.answered(serial(n));
            }
        }
    }

    #[test]
    fn one_who_never_answers_is_forgiven_in_time() {
        let mut debts = Debts::default();
        debts.sent(NOW, MINE, DEAF, admission::UNREAD_BYTES_PER_USER);
        assert_eq!(debts.credit(NOW, MINE, DEAF, 1000), Credit::Spent);
        let later = Time(NOW.0 + 10 * 1_000_000);
        assert_eq!(debts.credit(later, MINE, DEAF, 1000), Credit::Good);
    }

    #[test]
    fn a_user_has_a_bounded_number_of_questions() {
        let mut debts = Debts::default();
        let mut ask = |uid: Uid, from: u64| {
            let mut asked = 0;
            for peer in (from..from + 100).map(Peer) {
                if debts.sent(NOW, uid, peer, admission::UNREAD_BYTES + 1) {
                    asked += 1;
                    debts.asked(uid, peer, serial(u32::try_from(peer.0).unwrap() + 1));
                }
            }
            asked
        };
        assert_eq!(ask(MINE, 0), admission::BARRIERS_PER_USER);
        assert_eq!(ask(Uid(1001), 1000), admission::BARRIERS_PER_USER);
        debts.question_lost(serial(1));
        assert!(debts.sent(NOW, MINE, Peer(0), admission::UNREAD_BYTES + 1), "there is room again");
    }
}
