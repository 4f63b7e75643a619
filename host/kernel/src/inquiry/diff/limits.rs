//! Whether a budget gives more than another one: where a limit is higher, or gone.

use alloc::format;
use alloc::string::String;

use super::{Doubt, Finder, Suspect};
use crate::budget::{Resource, Window};
use crate::policy::Budget;
use crate::refusal::Rule;
use crate::rights::Rights;
use crate::within;

impl Finder<'_> {
    /// A limit that goes together with all that it is on opens nothing; `spends` says what can still be spent.
    pub(super) fn budget(
        &mut self,
        old: &Budget,
        new: &Budget,
        (agent, rule): (Option<&str>, &Rule),
        spends: impl Fn(Resource) -> bool,
    ) {
        if let Some(ask) = &new.ask
            && !old.ask.as_ref().is_some_and(|old| within::approval(Some(ask), Some(old)))
        {
            let asks = self.words("asks people", "no longer asks people");
            let (agent, what) = (agent.map(String::from), format!("{asks} for more where a budget ended"));
            self.suspects.push(Suspect { agent, what, rule: Some(ask.rule.clone()), doubt: Doubt::None });
        }
        for window in [Window::Run, Window::Minute, Window::Day] {
            for what in Resource::ALL {
                let was = old.limits(window).get(what);
                let is = new.limits(window).get(what);
                let is_more = |was| is.map_or_else(|| spends(what), |is| is > was);
                if was.is_some_and(is_more) {
                    let amount = is.map_or_else(|| format!("{} without limit", what.name()), |is| what.show(is));
                    let what = format!("may use {amount} in {}", span(window));
                    let rule = Some(Rule { id: format!("{}/budget", rule.id), ..rule.clone() });
                    self.suspects.push(Suspect { agent: agent.map(String::from), what, rule, doubt: Doubt::None });
                }
            }
        }
    }
}

/// Whether an agent with these rights can spend any of it; what it has other agents do is paid by it as well.
pub(super) fn spends(rights: &Rights, what: Resource) -> bool {
    let agents = rights.agents.is_some();
    match what {
        Resource::Tokens | Resource::TokensIn | Resource::TokensOut | Resource::LlmCalls => {
            rights.llm.is_some() || agents
        }
        Resource::ToolCalls => !rights.tools.is_empty() || agents,
        Resource::Usd => rights.llm.is_some() || !rights.tools.is_empty() || agents,
        Resource::Egress => !rights.http.is_empty() || !rights.tools.is_empty() || agents,
        Resource::Fuel | Resource::WallTime | Resource::Memory | Resource::Storage | Resource::Written => true,
    }
}

fn span(window: Window) -> &'static str {
    match window {
        Window::Run => "a run",
        Window::Minute => "a minute",
        Window::Day => "a day",
    }
}
