//! Who waits for the user's word: one question at a time, each once.
//!
//! Owns the order, and that an app which comes again and again does not become a nuisance. Pure: time is told.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use callarbiter::Authorization;

use super::question::Applicant;

/// Apps that wait at the same time: more than are installed of this kind.
const APPS: usize = 16;
/// Requests of one app that wait for the same word: its instances.
const REQUESTS: usize = 16;
/// A question that was put away so often is not asked again …
const PUT_AWAY: usize = 3;
/// … for so long.
const REST: Duration = Duration::from_secs(3600);

/// The questions; `R` is what waits for the answer.
#[derive(Debug)]
pub struct Queue<R> {
    waiting: VecDeque<Question<R>>,
    put_away: HashMap<String, Vec<Instant>>,
}

#[derive(Debug)]
struct Question<R> {
    applicant: Applicant,
    requests: Vec<R>,
}

/// Why nobody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Full,
    PutAway,
}

impl<R> Default for Queue<R> {
    fn default() -> Self {
        Queue { waiting: VecDeque::new(), put_away: HashMap::new() }
    }
}

impl<R> Queue<R> {
    /// One more request; given back with the reason if nobody is to be asked.
    pub fn add(
        &mut self,
        applicant: Applicant,
        request: R,
        now: Instant,
    ) -> Result<(), (Refusal, R)> {
        let same = self.waiting.iter_mut().find(|known| known.applicant.app == applicant.app);
        if let Some(question) = same {
            if question.requests.len() >= REQUESTS {
                return Err((Refusal::Full, request));
            }
            question.requests.push(request);
            return Ok(());
        }
        self.put_away.retain(|_, times| {
            times.retain(|time| now.duration_since(*time) < REST);
            !times.is_empty()
        });
        if self.put_away.get(&applicant.app).is_some_and(|times| times.len() >= PUT_AWAY) {
            return Err((Refusal::PutAway, request));
        }
        if self.waiting.len() >= APPS {
            return Err((Refusal::Full, request));
        }
        self.waiting.push_back(Question { applicant, requests: vec![request] });
        Ok(())
    }

    /// Whose turn it is.
    pub fn current(&self) -> Option<&Applicant> {
        self.waiting.front().map(|question| &question.applicant)
    }

    /// The question is answered, or put away without a word: who waited for it.
    pub fn finish(&mut self, app: &str, word: Authorization, now: Instant) -> Vec<R> {
        let at = self.waiting.iter().position(|question| question.applicant.app == app);
        let Some(question) = at.and_then(|at| self.waiting.remove(at)) else { return vec![] };
        match word {
            Authorization::NotDetermined => {
                self.put_away.entry(app.to_owned()).or_default().push(now)
            }
            _ => drop(self.put_away.remove(app)),
        }
        question.requests
    }

    /// All that wait, none of them answered.
    pub fn clear(&mut self) -> Vec<R> {
        self.waiting.drain(..).flat_map(|question| question.requests).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn app(app: &str) -> Applicant {
        Applicant { app: app.to_owned(), ..Applicant::default() }
    }

    #[test]
    fn one_at_a_time_and_each_once() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (name, request) in [("a", 1), ("b", 2), ("a", 3)] {
            queue.add(app(name), request, now).unwrap();
        }
        assert_eq!(queue.current().unwrap().app, "a");
        assert_eq!(queue.finish("a", Authorization::Authorized, now), [1, 3]);
        assert_eq!(queue.current().unwrap().app, "b");
        assert_eq!(queue.finish("none", Authorization::Denied, now), [0; 0]);
        assert_eq!(queue.clear(), [2]);
        assert!(queue.current().is_none());
    }

    #[test]
    fn put_away_three_times_it_rests_for_an_hour() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for nth in 0..PUT_AWAY {
            queue.add(app("a"), nth, now).unwrap();
            assert_eq!(queue.finish("a", Authorization::NotDetermined, now), [nth]);
        }
        assert_eq!(queue.add(app("a"), 9, now), Err((Refusal::PutAway, 9)));
        queue.add(app("b"), 1, now).unwrap();
        queue.add(app("a"), 9, now + REST).unwrap();
    }

    #[test]
    fn it_is_bounded() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for nth in 0..APPS {
            queue.add(app(&nth.to_string()), nth, now).unwrap();
        }
        assert_eq!(queue.add(app("more"), 99, now), Err((Refusal::Full, 99)));
        for nth in 1..REQUESTS {
            queue.add(app("0"), nth, now).unwrap();
        }
        assert_eq!(queue.add(app("0"), 99, now), Err((Refusal::Full, 99)));
    }
}
