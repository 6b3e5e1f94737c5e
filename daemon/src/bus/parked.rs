//! How much waits until its senders are known, and on whose account.
//!
//! Owns the sums. Until the bus has said whose a connection is, its messages are on everybody's account,
//! for one round trip to the bus; from then on they are on its user's.

use callarbiter_core::Uid;

use super::{admission, numbers::ByNumber};

/// What is parked of whom.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    everybody: Account,
    of_user: ByNumber<Uid, Account>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    messages: usize,
    bytes: usize,
}

impl Accounts {
    /// Puts messages on a user's account, or on everybody's; false if there is no room on it.
    pub fn charge(&mut self, payer: Option<Uid>, messages: usize, bytes: usize) -> bool {
        let (account, most, most_bytes) = match payer {
            None => (&mut self.everybody, admission::PARKED, admission::PARKED_BYTES),
            Some(uid) => {
                let account = self.of_user.entry(uid).or_default();
                (account, admission::PARKED_PER_USER, admission::PARKED_BYTES_PER_USER)
            }
        };
        let has_room = account.messages + messages <= most && account.bytes + bytes <= most_bytes;
        if has_room {
            account.messages += messages;
            account.bytes += bytes;
        }
        has_room
    }

    /// Puts the first short message of a connection on everybody's account, room or not: a bus bounds the
    /// connections, and one flood must not keep others from being known.
    pub fn charge_first(&mut self, bytes: usize) -> bool {
        if self.charge(None, 1, bytes) {
            return true;
        }
        let short = bytes <= admission::PARKED_FIRST_BYTES;
        if short {
            self.everybody.messages += 1;
            self.everybody.bytes += bytes;
        }
        short
    }

    /// They wait no longer.
    pub fn release(&mut self, payer: Option<Uid>, messages: usize, bytes: usize) {
        let Some(uid) = payer else {
            self.everybody.subtract(messages, bytes);
            return;
        };
        if let Some(account) = self.of_user.get_mut(&uid) {
            account.subtract(messages, bytes);
            if *account == Account::default() {
                self.of_user.remove(&uid);
            }
        }
    }
}

impl Account {
    fn subtract(&mut self, messages: usize, bytes: usize) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
