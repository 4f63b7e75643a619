//! The tests that stand in policy files, held: each call is decided as if a run made it that holds these labels and whose
//! package asks for everything. Budgets, rates and queues have no part in it.

use alloc::format;
use alloc::vec::Vec;

use super::Kernel;
use super::admission::{Admission, No, Terms};
use super::slots::Slots;
use crate::budget::Resource;
use crate::limits::MISTAKES_MAX;
use crate::policy::{Expect, Mistake, Policy, Trial};
use crate::refusal::{Code, Refusal};
use crate::text;
use crate::time::Millis;
use crate::tool::{Tool, Tools};

impl Policy {
    /// The tests of its files that fail, each with its line and what came out instead. A policy of which one fails is not
    /// used. A tool that is not among `tools` counts as irreversible.
    pub fn failed_tests(&self, tools: Vec<Tool>) -> Vec<Mistake> {
        self.failed_with(&Tools::new(tools))
    }

    fn failed_with(&self, tools: &Tools) -> Vec<Mistake> {
        let slots = Slots::new(Vec::new());
        let failed = self.trials.iter().filter_map(|trial| {
            let said = self.try_out(trial, &slots, tools);
            let fits = match (&said, trial.expect) {
                (Ok(terms), Expect::Allow) => terms.require.is_none(),
                (Ok(terms), Expect::Ask) => terms.require.is_some(),
                (Err(no), Expect::Deny(code)) => code.is_none_or(|code| code.word() == no.code.word()),
                _ => false,
            };
            (!fits).then(|| failure(trial, &said))
        });
        failed.take(MISTAKES_MAX).collect()
    }

    fn try_out(&self, trial: &Trial, slots: &Slots, tools: &Tools) -> Result<Terms, No> {
        let Some(grant) = self.grants.iter().find(|grant| grant.agent == trial.agent) else {
            return Err(
                Refusal::new(Code::NoGrant, format!("agent `{}` has no grant", text::show(&trial.agent))).into()
            );
        };
        let limits_money = grant.budget.has(Resource::Usd) || self.budget.has(Resource::Usd);
        let admission = Admission {
            policy: self,
            wants: None,
            grant,
            slots,
            tools,
            labels: &trial.labels,
            rates: None,
            now: Millis(0),
            limits_money,
            below: 0,
            lenient: true,
        };
        admission.decide(&trial.call)
    }
}

impl Kernel {
    /// The same of a policy that might take the place of the one in force, or of that one, with the tools that are here.
    pub fn failed_tests(&self, policy: &Policy) -> Vec<Mistake> {
        policy.failed_with(&self.tools)
    }
}

fn failure(trial: &Trial, said: &Result<Terms, No>) -> Mistake {
    let wanted = match trial.expect {
        Expect::Allow => "\"allow\"".into(),
        Expect::Ask => "\"ask\"".into(),
        Expect::Deny(None) => "\"deny\"".into(),
        Expect::Deny(Some(code)) => format!("\"deny:{}\"", code.word()),
    };
    let said = match said {
        Ok(Terms { require: Some(required), .. }) => format!("\"ask\", says {}", required.rule.id),
        Ok(_) => "\"allow\"".into(),
        Err(no) => match &no.rule {
            Some(rule) => format!("\"deny:{}\", says {} in {}:{}", no.code.word(), rule.id, rule.file, rule.line),
            None => format!("\"deny:{}\": {}", no.code.word(), no.because),
        },
    };
    Mistake { message: format!("this test expects {wanted} and gets {said}"), ..trial.place.clone() }
}
