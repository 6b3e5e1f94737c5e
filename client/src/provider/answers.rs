//! What was answered to the latest requests, by an app or an agent.
//!
//! Owns the memory that keeps a request, sent again by an arbiter that restarted, from being performed
//! twice.

use std::collections::{HashMap, VecDeque};

use callarbiter_dbus::Dict;

use crate::ActionError;

/// More than an arbiter has open at one connection at any time.
const REMEMBERED: usize = 256;

/// How a request was answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Fulfilled(Dict),
    Failed(ActionError),
}

#[derive(Debug)]
pub(crate) struct Answers<A> {
    known: HashMap<String, A>,
    order: VecDeque<String>,
}

impl<A> Default for Answers<A> {
    fn default() -> Self {
        Answers { known: HashMap::new(), order: VecDeque::new() }
    }
}

impl<A> Answers<A> {
    pub fn remember(&mut self, request: String, answer: A) {
        if self.known.insert(request.clone(), answer).is_none() {
            self.order.push_back(request);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    pub fn to(&self, request: &str) -> Option<&A> {
        self.known.get(request)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn forgets_the_oldest_only() {
        let mut answers = Answers::default();
        for n in 0..=REMEMBERED {
            answers.remember(n.to_string(), Answer::Fulfilled(Dict::new()));
        }
        assert!(answers.to("0").is_none());
        assert!(answers.to("1").is_some());
        assert!(answers.to(&REMEMBERED.to_string()).is_some());
        assert_eq!(answers.known.len(), REMEMBERED);
    }
}
