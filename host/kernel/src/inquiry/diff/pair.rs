//! Two policies that are asked the same, over and over: one kernel of each lasts for all calls of an agent, with one run for each
//! set of labels. It looks by right alone; whoever wants the kernel's whole answer asks for that.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Answer, Example};
use crate::call::{Call, CallId, RunId};
use crate::inquiry::{Question, Scenario};
use crate::kernel::{Answer as Admitted, Kernel, Permission};
use crate::labels::Labels;

/// The two of them.
pub(super) struct Pair<'a> {
    agent: &'a str,
    labels: &'a [Labels],
    old: Side,
    new: Side,
}

/// One policy and its kernel, once it was asked.
struct Side {
    scenario: Scenario,
    kernel: Option<Kernel>,
}

impl<'a> Pair<'a> {
    pub(super) fn new(old: &Scenario, new: &Scenario, agent: &'a str, labels: &'a [Labels]) -> Self {
        let side = |scenario: &Scenario| Side { scenario: scenario.clone(), kernel: None };
        Self { agent, labels, old: side(old), new: side(new) }
    }

    /// What shows that the new policy answers this call with more.
    pub(super) fn compare(&mut self, call: &Call) -> Option<Example> {
        self.old.know(call, self.agent, self.labels);
        self.new.know(call, self.agent, self.labels);
        let places: Vec<u64> = (0..).take(self.labels.len()).collect();
        places.into_iter().zip(self.labels).find_map(|(place, labels)| {
            let run = RunId(place);
            let wider = self.new.permission(run, call) > self.old.permission(run, call);
            wider.then(|| self.example(call, labels)).flatten()
        })
    }

    /// The same with budgets and all the rest, in the kernel's words.
    fn example(&self, call: &Call, labels: &Labels) -> Option<Example> {
        let question = Question { agent: self.agent.into(), package: None, labels: labels.clone(), call: call.clone() };
        let more = self.new.scenario.ask(&question);
        if matches!(more, Answer::Refused(_)) {
            return None;
        }
        let less = self.old.scenario.ask(&question);
        more.exceeds(&less).then(|| Example { call: call.clone(), labels: labels.clone(), less, more })
    }
}

impl Side {
    /// Makes the kernel that knows the model or the tool of this call.
    fn know(&mut self, call: &Call, agent: &str, labels: &[Labels]) {
        if !self.scenario.complete(call) && self.kernel.is_some() {
            return;
        }
        let Scenario { policy, models, tools, at } = &self.scenario;
        let mut kernel = Kernel::new(Arc::clone(policy), models.clone(), tools.clone());
        let start = self.scenario.anything_starts(agent, core::iter::once(call));
        for (place, labels) in (0..).zip(labels) {
            let run = RunId(place);
            // Whom nobody grants anything has no run, and may do nothing.
            if kernel.start(run, &start, *at).0.is_err() {
                break;
            }
            kernel.attend(run);
            if !labels.is_empty()
                && let (Admitted::Permit(mut permit), _) = kernel.admit(run, CallId(0), &Call::TimersNow, *at)
            {
                permit.bring(labels);
                let _ = kernel.settle(permit, crate::budget::Amounts::ZERO, *at);
            }
        }
        self.kernel = Some(kernel);
    }

    fn permission(&self, run: RunId, call: &Call) -> Permission {
        self.kernel.as_ref().map_or(Permission::No, |kernel| kernel.permission(run, call, self.scenario.at))
    }
}
