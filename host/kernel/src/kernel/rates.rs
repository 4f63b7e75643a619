//! How often: the calls that rules with a `rate` let through, each remembered until its span is over. At most so many in
//! *any* span, not in those that a clock begins. What is remembered outlives the host: whoever counts a call writes it down.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use crate::limits::RATE_MAX;
use crate::rights::Rate;
use crate::time::Millis;

/// The latest calls that a rule let through, for whoever keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateState {
    /// Whose rule.
    pub agent: String,
    /// Its id.
    pub rule: String,
    /// When, oldest first; at most [`RATE_MAX`].
    pub times: Vec<Millis>,
}

/// The latest calls, by agent and rule.
#[derive(Debug, Default)]
pub(super) struct Rates(BTreeMap<String, BTreeMap<String, VecDeque<Millis>>>);

impl Rates {
    /// How long this rule gives nothing, if it does not give at once. A clock set back makes it longer.
    pub(super) fn wait_ms(&self, agent: &str, rule: &str, rate: Rate, now: Millis) -> Option<u64> {
        let times = self.0.get(agent)?.get(rule)?;
        let oldest = times.len().checked_sub(rate.calls as usize).and_then(|at| times.get(at))?;
        let ends = oldest.plus(rate.span_ms);
        (ends > now).then(|| ends.since(now))
    }

    /// Remembers a call.
    pub(super) fn count(&mut self, agent: &str, rule: &str, now: Millis) {
        if !self.0.contains_key(agent) {
            self.0.insert(agent.into(), BTreeMap::new());
        }
        let Some(rules) = self.0.get_mut(agent) else { return };
        if !rules.contains_key(rule) {
            rules.insert(rule.into(), VecDeque::new());
        }
        let Some(times) = rules.get_mut(rule) else { return };
        if times.len() >= RATE_MAX as usize {
            times.pop_front();
        }
        times.push_back(now);
    }

    /// What is remembered of a rule.
    pub(super) fn of(&self, agent: &str, rule: &str) -> Option<RateState> {
        let times = self.0.get(agent)?.get(rule)?.iter().copied().collect();
        Some(RateState { agent: agent.into(), rule: rule.into(), times })
    }

    /// Remembers what an earlier host counted; the newest, if there are too many.
    pub(super) fn restore(&mut self, rated: RateState) {
        let RateState { agent, rule, times } = rated;
        let from = times.len().saturating_sub(RATE_MAX as usize);
        let kept = times.into_iter().skip(from).collect();
        self.0.entry(agent).or_default().insert(rule, kept);
    }

    /// What was counted in a time that has not come was counted now; what is remembered of those rules.
    pub(super) fn set_back(&mut self, now: Millis) -> Vec<RateState> {
        let mut changed = Vec::new();
        for (agent, rules) in &mut self.0 {
            for (rule, times) in rules.iter_mut().filter(|(_, times)| times.iter().any(|at| *at > now)) {
                times.iter_mut().for_each(|at| *at = (*at).min(now));
                changed.push(RateState {
                    agent: agent.clone(),
                    rule: rule.clone(),
                    times: times.iter().copied().collect(),
                });
            }
        }
        changed
    }

    /// Forgets rules that are gone.
    pub(super) fn keep(&mut self, is_there: impl Fn(&str, &str) -> bool) {
        self.0.retain(|agent, rules| {
            rules.retain(|rule, _| is_there(agent, rule));
            !rules.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_span_of_time_holds_more_than_the_rate() {
        let (mut rates, rate) = (Rates::default(), Rate { calls: 3, span_ms: 1000 });
        let mut admitted = alloc::vec::Vec::new();
        for now in (0..10_000).step_by(70).map(Millis) {
            if rates.wait_ms("a", "r", rate, now).is_none() {
                rates.count("a", "r", now);
                admitted.push(now);
            }
        }
        assert!(admitted.len() >= 27, "{}", admitted.len());
        assert!(admitted.windows(4).all(|four| four[3].since(four[0]) >= 1000));
    }

    #[test]
    fn what_an_earlier_host_counted_counts_also_when_the_clock_was_set_back() {
        let (mut before, rate) = (Rates::default(), Rate { calls: 2, span_ms: 1000 });
        before.count("a", "r", Millis(100_000));
        before.count("a", "r", Millis(100_400));
        let mut after = Rates::default();
        after.restore(before.of("a", "r").expect("it was counted"));
        assert_eq!(after.wait_ms("a", "r", rate, Millis(100_500)), Some(500));
        assert_eq!(after.wait_ms("a", "r", rate, Millis(40_000)), Some(61_000));
        assert_eq!(after.wait_ms("a", "r", rate, Millis(101_000)), None);
        let many =
            RateState { agent: "a".into(), rule: "r".into(), times: alloc::vec![Millis(5); 3 * RATE_MAX as usize] };
        after.restore(many);
        assert_eq!(after.of("a", "r").map(|rated| rated.times.len()), Some(RATE_MAX as usize));
        assert_eq!(after.of("b", "r"), None);
    }

    #[test]
    fn a_clock_set_back_gives_nothing_back() {
        let (mut rates, rate) = (Rates::default(), Rate { calls: 1, span_ms: 1000 });
        rates.count("a", "r", Millis(100_000));
        assert_eq!(rates.wait_ms("a", "r", rate, Millis(0)), Some(101_000));
        assert_eq!(rates.wait_ms("a", "other", rate, Millis(0)), None);
    }
}
