//! The whole decision on one call: the run's own manifest ∩ grant and the site's rules, then the same for every run above it. A child
//! holds at most what each of those holds that it works for.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use super::admission::{Admission, No, Terms};
use super::basis::Grounds;
use super::rates::Rates;
use super::reasons;
use super::runs::Run;
use super::slots::Slots;
use crate::budget::Resource;
use crate::call::{Call, RunId};
use crate::labels::Labels;
use crate::policy::{Grant, Policy};
use crate::refusal::{Code, Refusal};
use crate::time::Millis;
use crate::tool::Tools;

/// What decisions are made on.
pub(super) struct View<'p> {
    pub(super) policy: &'p Policy,
    pub(super) slots: &'p Slots,
    pub(super) tools: &'p Tools,
    /// None where a call is looked at again that was counted.
    pub(super) rates: Option<&'p Rates>,
    pub(super) runs: &'p BTreeMap<RunId, Run>,
    pub(super) now: Millis,
}

impl<'p> View<'p> {
    /// Whether a call lies within what its run has now, and on which terms. It is asked again before a call that people
    /// allowed is made, so it counts nothing and holds nothing.
    pub(super) fn decide(&self, run: &Run, what: &Call) -> Result<(&'p Grant, Terms), No> {
        let grant = self.grant_of(run)?;
        let admission = self.admission(run, grant, &run.labels, 0);
        let mut terms = admission.decide(what)?;
        if terms.observed.is_none()
            && let Some(tried) = self.policy.observed.iter().find(|tried| tried.agent == run.agent)
        {
            terms.observed = Admission { grant: tried, ..admission }.within(what).err();
        }
        let (mut above, mut below) = (run.parent, 1);
        while let Some(id) = above {
            let Some(caller) = self.runs.get(&id).filter(|caller| !caller.ended) else {
                return Err(reasons::ended("the run that called this one is over"));
            };
            terms = self.delegated(run, caller, below, what, terms)?;
            (above, below) = (caller.parent, below + 1);
        }
        Ok((grant, terms))
    }

    /// What the agent that makes the call has of these terms when it works for this one.
    fn delegated(&self, run: &Run, caller: &Run, below: u32, what: &Call, terms: Terms) -> Result<Terms, No> {
        let worded = |no: No| if no.code == Code::Ended { no } else { for_another(run, caller, *no).into() };
        let grant = self.grant_of(caller).map_err(worded)?;
        let theirs = self.admission(caller, grant, &run.labels, below).decide(what).map_err(worded)?;
        let counted = theirs.rated.then(|| rule_id(grant, theirs.ground)).flatten();
        let mut terms = terms.under(theirs)?;
        terms.counted.extend(counted);
        Ok(terms)
    }

    /// What a run is granted now.
    fn grant_of(&self, run: &Run) -> Result<&'p Grant, No> {
        let Some(grant) = run.grant.and_then(|grant| self.policy.grants.get(grant)) else {
            return Err(reasons::withdrawn(&run.agent));
        };
        if grant.expires.is_some_and(|end| self.now >= end) {
            return Err(reasons::expired(grant));
        }
        Ok(grant)
    }

    /// What is decided on: the rights of one run, the labels of the one that makes the call.
    fn admission<'a>(&'a self, holder: &'a Run, grant: &'a Grant, labels: &'a Labels, below: u32) -> Admission<'a> {
        Admission {
            policy: self.policy,
            wants: Some(&holder.wants),
            grant,
            slots: self.slots,
            tools: self.tools,
            labels,
            rates: self.rates,
            now: self.now,
            limits_money: grant.budget.has(Resource::Usd) || self.policy.budget.has(Resource::Usd),
            below,
            lenient: false,
        }
    }
}

/// The rule that counts its calls, by its agent and its id.
pub(super) fn rule_id(grant: &Grant, ground: Grounds) -> Option<(String, String)> {
    let id = match ground {
        Grounds::Tool(place) => grant.rights.tools.get(place).map(|right| &right.id),
        Grounds::Http(place) => grant.rights.http.get(place).map(|right| &right.id),
        _ => None,
    };
    id.map(|id| (grant.agent.clone(), id.clone()))
}

/// A no to the agent for which a run works.
fn for_another(run: &Run, caller: &Run, no: Refusal) -> Refusal {
    let because = format!("agent `{}` works for agent `{}` here: {}", run.agent, caller.agent, no.because);
    let code = match no.code {
        Code::Exhausted { .. } | Code::Busy => no.code,
        _ => Code::Delegation,
    };
    Refusal { code, because, ..no }
}
