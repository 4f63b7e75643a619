//! Every reason why a call is not simply allowed, not the first alone: each is taken away in turn, and the kernel is asked again.
//! Nothing that is taken away here is taken out of what is in force.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::call::Call;
use crate::digest::Digest;
use crate::inquiry::{Question, Scenario, Verdict};
use crate::limits::CHILD_DEPTH_MAX;
use crate::policy::{Policy, Source, quoted};
use crate::refusal::{Code, Refusal};
use crate::rights::Origin;
use crate::url::Url;

/// Reasons that are looked for; nobody reads more.
const REASONS_MAX: usize = 8;

/// What else says no, or asks, behind the first reason.
pub(super) fn behind(scenario: &Scenario, question: &Question, first: &Verdict) -> Vec<Refusal> {
    let mut found: Vec<Refusal> = Vec::new();
    let (mut scenario, mut question) = (scenario.clone(), question.clone());
    let mut now = first.clone();
    while let Verdict::Refused(refusal) = &now {
        if found.len() == REASONS_MAX || !take_away(&mut scenario, &mut question, refusal) {
            break;
        }
        let next = scenario.ask(&question);
        if next == now {
            break;
        }
        found.extend(next.refusal().cloned());
        now = next;
    }
    found
}

/// Makes a scenario without this reason; false if there is none.
fn take_away(scenario: &mut Scenario, question: &mut Question, refusal: &Refusal) -> bool {
    let of_site = refusal.rule.as_ref().filter(|rule| {
        let policy = &scenario.policy;
        policy.rules.iter().any(|of_site| of_site.rule == **rule)
            || policy.ceilings.iter().any(|ceiling| ceiling.rule == **rule)
    });
    if let Some(rule) = of_site {
        let policy = scenario.policy.revised(|policy| {
            policy.rules.retain(|of_site| of_site.rule != *rule);
            policy.ceilings.retain(|ceiling| ceiling.rule != *rule);
        });
        scenario.policy = Arc::new(policy);
        return true;
    }
    match refusal.code {
        Code::NotDeclared => question.package.take().is_some(),
        Code::Unknown => scenario.complete(&question.call),
        Code::Expired => of_grant(scenario, question, |grant| grant.expires = None),
        Code::NoGrant | Code::Argument | Code::Label | Code::Rate => {
            let Some(wide) = wide(&question.agent, &question.call) else { return false };
            let mut policy = scenario.policy.revised(|policy| {
                if let Some(grant) = wide.grants.first() {
                    match policy.grants.iter_mut().find(|grant| grant.agent == question.agent) {
                        Some(mine) => {
                            (mine.rights, mine.package, mine.publisher) = (grant.rights.clone(), None, None);
                        }
                        None => policy.grants.push(grant.clone()),
                    }
                }
            });
            policy.epoch = scenario.policy.epoch;
            scenario.policy = Arc::new(policy);
            true
        }
        _ => false,
    }
}

fn of_grant(scenario: &mut Scenario, question: &Question, change: impl Fn(&mut crate::policy::Grant)) -> bool {
    let mut changed = false;
    let policy = scenario.policy.revised(|policy| {
        for grant in policy.grants.iter_mut().filter(|grant| grant.agent == question.agent) {
            change(grant);
            changed = true;
        }
    });
    scenario.policy = Arc::new(policy);
    changed
}

/// A policy in which this agent may make this call, whatever its arguments: the language itself says so.
fn wide(agent: &str, call: &Call) -> Option<Policy> {
    let mut text = format!(
        "format = 1\nlayer = \"grant\"\nagent = {}\nhuman = {{ ask = true, notify = true }}\n\
         llm = {{ models = [\"*\"], class = \"interactive\" }}\nmemory = {{ read = [\"**\"], write = [\"**\"] }}\n\
         agents = {{ call = [\"*\"], send = [\"*\"], receive = [\"*\"], max_depth = {CHILD_DEPTH_MAX} }}\n\
         allow = [{{ id = \"any\", tool = \"*\", args = \"any\" }}]\n",
        quoted(agent)
    );
    match call {
        Call::FilesRead(place)
        | Call::FilesStat(place)
        | Call::FilesList(place)
        | Call::FilesDelete(place)
        | Call::FilesWrite { place, .. } => {
            text.push_str(&format!("files = [{{ root = {}, at = \"/\", access = \"rw\" }}]\n", quoted(&place.root)));
        }
        Call::Fetch(fetch) => {
            let url = Url::parse(&fetch.url).ok()?;
            let origin = Origin { scheme: url.scheme, host: url.name.into(), port: url.port };
            let origin = quoted(&origin.to_string());
            text.push_str(&format!(
                "http = [{{ to = {origin}, methods = [{}], private = true }}]\n",
                quoted(&fetch.method)
            ));
            if let Some(secret) = &fetch.secret {
                text.push_str(&format!("secrets = [{{ handle = {}, only_to = {origin} }}]\n", quoted(secret)));
            }
        }
        Call::LlmModels
        | Call::LlmComplete(_)
        | Call::LlmStream(_)
        | Call::LlmEmbed { .. }
        | Call::LlmCountTokens { .. }
        | Call::Context(_)
        | Call::MemoryGet { .. }
        | Call::MemoryPut { .. }
        | Call::MemoryDelete { .. }
        | Call::MemoryList { .. }
        | Call::Memory { .. }
        | Call::ToolsList
        | Call::ToolsCall { .. }
        | Call::HttpFetch { .. }
        | Call::Agents(_)
        | Call::TimersNow
        | Call::TimersSleep { .. }
        | Call::TimersDeadline
        | Call::Human(_)
        | Call::BudgetRemaining
        | Call::BudgetSplit
        | Call::LogEvent { .. }
        | Call::HumanAsk { .. }
        | Call::HumanNotify { .. }
        | Call::AgentsFind { .. }
        | Call::AgentsCall(_)
        | Call::AgentsSend(_)
        | Call::AgentsReply { .. }
        | Call::AgentsReceive { .. } => {}
    }
    Policy::parse(&[Source { file: "", text: &text }], Digest::default()).ok()
}
