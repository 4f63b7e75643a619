//! Why a call is answered as it is: which rule decides, which one gives, and what would change the answer. Each "what if" is put
//! to the kernel like the call itself.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::candidates::Candidates;
use super::{Question, Scenario, Verdict};
use crate::call::Call;
use crate::labels::Labels;
use crate::policy::{Grant, Policy};
use crate::refusal::{Refusal, Rule};
use crate::url::Url;

mod reasons;

/// Other answers that are told; the first ones say most.
const TOLD_MAX: usize = 6;

/// The answer to a call and what it rests on.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The answer.
    pub verdict: Verdict,
    /// What would say no, or ask people, if the reason before it were gone: a remedy for the first is not enough.
    pub also: Vec<Refusal>,
    /// The rule that gives the right, where there is one. What rules of the site say comes on top.
    pub given_by: Option<Rule>,
    /// What would change the answer.
    pub otherwise: Vec<Otherwise>,
}

/// One change and what the answer would be.
#[derive(Clone, Debug)]
pub struct Otherwise {
    /// What would be different: `with cents = 50000`, `without label secret`, `without rule site/pay-cap`.
    pub what: String,
    /// The answer then.
    pub verdict: Verdict,
}

/// Asks for a call, and for its neighbours.
pub fn explain(scenario: &Scenario, question: &Question) -> Explanation {
    let verdict = scenario.ask(question);
    let mut otherwise = Vec::new();
    match &verdict {
        Verdict::Allowed { .. } => barred(scenario, question, &mut otherwise),
        Verdict::Asks(_) | Verdict::Refused(_) => {
            arguments(scenario, question, &verdict, &mut otherwise);
            labels(scenario, question, &verdict, &mut otherwise);
            rules(scenario, question, &verdict, &mut otherwise);
        }
    }
    otherwise.truncate(TOLD_MAX);
    let given_by = if matches!(verdict, Verdict::Refused(_)) { None } else { giver(scenario, question) };
    let also = reasons::behind(scenario, question, &verdict);
    Explanation { verdict, also, given_by, otherwise }
}

/// The same for a call that was made: what the host's own guard refused then, whatever policy says, it refuses again, unless a rule opens now
/// what it wanted.
pub fn explain_past(scenario: &Scenario, question: &Question, then: Option<&Refusal>) -> Explanation {
    let explanation = explain(scenario, question);
    let Some(bar) = then.filter(|then| then.is_barred()) else { return explanation };
    let opened = bar.is_mended_by_private() && is_private(scenario, question);
    if opened || !matches!(explanation.verdict, Verdict::Allowed { .. }) {
        return explanation;
    }
    Explanation { verdict: Verdict::Refused(bar.clone()), given_by: None, otherwise: Vec::new(), ..explanation }
}

/// True if a rule that covers the request lets it go to this machine and its networks.
fn is_private(scenario: &Scenario, question: &Question) -> bool {
    let Call::Fetch(fetch) = &question.call else { return false };
    let rights = scenario.grant(&question.agent).into_iter().flat_map(|grant| &grant.rights.http);
    Url::parse(&fetch.url)
        .is_ok_and(|url| rights.filter(|right| right.private).any(|right| right.allows(&fetch.method, &url)))
}

/// The first rule of the grant that is enough by itself.
fn giver(scenario: &Scenario, question: &Question) -> Option<Rule> {
    let grant = scenario.grant(&question.agent)?;
    let rule = |id: &str, line: u32| Rule { id: id.into(), file: grant.rule.file.clone(), line };
    let key = |key: &str, line: u32| rule(&format!("{}/{key}", grant.agent), line);
    let enough = |keep: &dyn Fn(&mut Grant)| {
        let policy = scenario.policy.revised(|policy| {
            policy.grants.iter_mut().filter(|grant| grant.agent == question.agent).for_each(keep);
        });
        !matches!(scenario.under(Arc::new(policy)).ask(question), Verdict::Refused(_))
    };
    let rights = &grant.rights;
    match &question.call {
        Call::LlmComplete(_) | Call::LlmStream(_) | Call::LlmEmbed { .. } | Call::LlmCountTokens { .. } => {
            rights.llm.as_ref().map(|right| key("llm", right.line))
        }
        Call::MemoryGet { .. } | Call::MemoryPut { .. } | Call::MemoryDelete { .. } | Call::MemoryList { .. } => {
            rights.memory.as_ref().map(|right| key("memory", right.line))
        }
        Call::FilesRead(_)
        | Call::FilesStat(_)
        | Call::FilesList(_)
        | Call::FilesWrite { .. }
        | Call::FilesDelete(_) => {
            let alone =
                |right: &&_| enough(&|grant: &mut Grant| grant.rights.files = alloc::vec![Clone::clone(*right)]);
            rights.files.iter().find(alone).map(|right| key("files", right.line))
        }
        Call::ToolsCall { name, .. } => {
            let alone =
                |right: &&_| enough(&|grant: &mut Grant| grant.rights.tools = alloc::vec![Clone::clone(*right)]);
            grant.tools(name).map(|(_, right)| right).find(alone).map(|right| rule(&right.id, right.line))
        }
        Call::Fetch(_) => {
            let alone = |right: &&_| enough(&|grant: &mut Grant| grant.rights.http = alloc::vec![Clone::clone(*right)]);
            rights.http.iter().find(alone).map(|right| rule(&right.id, right.line))
        }
        Call::LlmModels | Call::ToolsList | Call::Context(_) | Call::Memory { .. } | Call::HttpFetch { .. } => None,
        Call::TimersNow | Call::TimersSleep { .. } | Call::TimersDeadline => None,
        Call::BudgetRemaining | Call::BudgetSplit | Call::LogEvent { .. } => None,
        Call::Human(_) | Call::HumanAsk { .. } | Call::HumanNotify { .. } => None,
        Call::Agents(_) | Call::AgentsFind { .. } | Call::AgentsCall(_) | Call::AgentsSend(_) => None,
        Call::AgentsReply { .. } | Call::AgentsReceive { .. } => None,
    }
}

/// One argument changed.
fn arguments(scenario: &Scenario, question: &Question, verdict: &Verdict, told: &mut Vec<Otherwise>) {
    let Call::ToolsCall { name, value, .. } = &question.call else { return };
    let Some(given) = value.entries() else { return };
    let mut changed: Vec<String> = Vec::new();
    for call in (Candidates { old: scenario, new: scenario }).tools(&question.agent, name) {
        let Call::ToolsCall { value: other, .. } = &call else { continue };
        let Some(other) = other.entries() else { continue };
        let names = given.iter().chain(other).map(|(name, _)| name);
        let find = |entries: &[(String, _)], name: &String| {
            entries.iter().find(|(key, _)| key == name).map(|(_, value): &(String, crate::json::Value)| value.clone())
        };
        let mut different: Vec<&String> = names.filter(|name| find(given, name) != find(other, name)).collect();
        different.dedup();
        let [argument] = different.as_slice() else { continue };
        if changed.contains(argument) {
            continue;
        }
        let verdict_then = scenario.ask(&Question { call: call.clone(), ..question.clone() });
        if verdict_then.exceeds(verdict) {
            changed.push((*argument).clone());
            let what = find(other, argument)
                .map_or_else(|| format!("without {argument}"), |value| format!("with {argument} = {value}"));
            told.push(Otherwise { what, verdict: verdict_then });
        }
    }
}

/// Without what the run has read.
fn labels(scenario: &Scenario, question: &Question, verdict: &Verdict, told: &mut Vec<Otherwise>) {
    let each = question.labels.iter().map(|label| Labels::of([label]));
    let all = (question.labels.iter().nth(1).is_some()).then(|| question.labels.clone());
    for off in each.chain(all) {
        let labels = question.labels.without(&off);
        let then = scenario.ask(&Question { labels, ..question.clone() });
        if then.exceeds(verdict) {
            told.push(Otherwise { what: format!("if the run had not read {off}"), verdict: then });
            return;
        }
    }
}

/// Without the rule of the site that says no, and without the next one.
fn rules(scenario: &Scenario, question: &Question, verdict: &Verdict, told: &mut Vec<Otherwise>) {
    let mut scenario = scenario.clone();
    let mut taken: Vec<String> = Vec::new();
    let mut now = verdict.clone();
    while taken.len() < TOLD_MAX {
        let Some(rule) = now.refusal().and_then(|refusal| refusal.rule.as_ref()) else { return };
        let policy: Policy = scenario.policy.revised(|policy| {
            policy.rules.retain(|of_site| of_site.rule.id != rule.id);
            policy.ceilings.retain(|ceiling| ceiling.rule != *rule);
        });
        let same = policy.rules.len() == scenario.policy.rules.len()
            && policy.ceilings.len() == scenario.policy.ceilings.len();
        if same {
            return;
        }
        taken.push(rule.id.to_string());
        scenario = scenario.under(Arc::new(policy));
        now = scenario.ask(question);
        let rules = if taken.len() == 1 { "rule" } else { "rules" };
        told.push(Otherwise { what: format!("without {rules} {}", taken.join(" and ")), verdict: now.clone() });
        if matches!(now, Verdict::Allowed { .. }) {
            return;
        }
    }
}

/// What the run must not have read.
fn barred(scenario: &Scenario, question: &Question, told: &mut Vec<Otherwise>) {
    let mut bars: Vec<Labels> = Vec::new();
    let mut sets = (Candidates { old: scenario, new: scenario }).labels();
    sets.sort_by_key(|set| set.iter().count());
    for set in sets {
        // What is barred by less is barred by more.
        if set.is_empty() || bars.iter().any(|bar| set.has_all(bar)) {
            continue;
        }
        let labels = question.labels.and(&set);
        let then = scenario.ask(&Question { labels, ..question.clone() });
        if !matches!(then, Verdict::Allowed { .. }) {
            told.push(Otherwise { what: format!("if the run had read {set}"), verdict: then });
            bars.push(set);
        }
    }
}
