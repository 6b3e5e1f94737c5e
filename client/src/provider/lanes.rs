//! Order: what is about the same thing happens one after the other, everything else at once.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Jobs that wait for the lanes that they need.
#[derive(Debug)]
pub(super) struct Lanes<L, J> {
    waiting: VecDeque<(Vec<L>, J)>,
    /// How many jobs run in each.
    busy: HashMap<L, usize>,
}

impl<L: Copy + Eq + Hash, J> Lanes<L, J> {
    pub fn new() -> Self {
        Lanes { waiting: VecDeque::new(), busy: HashMap::new() }
    }

    /// A job that waits for its turn.
    pub fn push(&mut self, lanes: Vec<L>, job: J) {
        self.waiting.push_back((lanes, job));
    }

    /// The lanes of a job that waits for nobody.
    pub fn occupy(&mut self, lanes: &[L]) {
        for lane in lanes {
            *self.busy.entry(*lane).or_default() += 1;
        }
    }

    /// A job whose turn it is: none before it in any of its lanes, and none running there.
    pub fn next(&mut self) -> Option<(Vec<L>, J)> {
        let mut taken: Vec<L> = self.busy.keys().copied().collect();
        let turn = self.waiting.iter().position(|(lanes, _)| {
            let free = !lanes.iter().any(|lane| taken.contains(lane));
            taken.extend(lanes);
            free
        })?;
        let (lanes, job) = self.waiting.remove(turn)?;
        self.occupy(&lanes);
        Some((lanes, job))
    }

    /// A job in these lanes is done.
    pub fn release(&mut self, lanes: &[L]) {
        for lane in lanes {
            if let Some(running) = self.busy.get_mut(lane) {
                *running -= 1;
                if *running == 0 {
                    self.busy.remove(lane);
                }
            }
        }
    }

    /// Whether such a job waits.
    pub fn any(&self, wanted: impl Fn(&J) -> bool) -> bool {
        self.waiting.iter().any(|(_, job)| wanted(job))
    }

    /// Takes away the jobs that will not be done.
    pub fn remove(&mut self, mut unwanted: impl FnMut(&J) -> bool) -> Vec<J> {
        let (removed, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, job)| unwanted(job));
        self.waiting = waiting;
        let removed: VecDeque<(Vec<L>, J)> = removed;
        removed.into_iter().map(|(_, job)| job).collect()
    }

    #[cfg(test)]
    fn turns(&mut self) -> Vec<J> {
        std::iter::from_fn(|| self.next()).map(|(_, job)| job).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_at_a_time_and_different_calls_at_once() {
        let mut lanes = Lanes::new();
        lanes.push(vec![1], "answer 1");
        lanes.push(vec![1], "hold 1");
        lanes.push(vec![2], "answer 2");
        assert_eq!(lanes.turns(), ["answer 1", "answer 2"]);
        lanes.release(&[1]);
        assert_eq!(lanes.turns(), ["hold 1"]);
    }

    #[test]
    fn a_job_in_two_lanes_waits_for_both_and_is_not_overtaken() {
        let mut lanes = Lanes::new();
        lanes.push(vec![1], "hold 1");
        lanes.push(vec![1, 2], "join 1 2");
        lanes.push(vec![2], "mute 2");
        assert_eq!(lanes.turns(), ["hold 1"]);
        lanes.release(&[1]);
        assert_eq!(lanes.turns(), ["join 1 2"]);
        lanes.release(&[1, 2]);
        assert_eq!(lanes.turns(), ["mute 2"]);
    }

    #[test]
    fn one_that_overtakes_keeps_the_lane_busy_until_both_are_done() {
        let mut lanes = Lanes::new();
        lanes.push(vec![1], "start 1");
        assert_eq!(lanes.turns(), ["start 1"]);
        lanes.push(vec![1], "mute 1");
        assert_eq!(lanes.remove(|job| *job == "mute 1"), ["mute 1"]);
        lanes.occupy(&[1]);
        lanes.push(vec![1], "start 1 again");
        lanes.release(&[1]);
        assert!(lanes.turns().is_empty());
        lanes.release(&[1]);
        assert_eq!(lanes.turns(), ["start 1 again"]);
    }
}
