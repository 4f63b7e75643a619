//! What an agent can do with tools. A pattern names many, and what the site says to one it does not say to the others: each is told with its
//! own answer.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{List, bonds, condition, touch};
use crate::constraint::Arguments;
use crate::pattern::name_fits;
use crate::policy::{SiteRule, Target};
use crate::tool::Tool;
use crate::within;

/// Tools of one pattern that are told one by one.
const TOOLS_MAX: usize = 64;

impl List<'_> {
    pub(super) fn tools(&mut self) {
        for right in &self.grant.rights.tools {
            let Some(mut with) = self.ceiling(&right.tool, |ceiling| ceiling.tools.as_ref()) else { continue };
            match &right.args {
                Arguments::Any => with.push("with any arguments".into()),
                Arguments::Listed(listed) => with.extend(listed.iter().map(|(name, rule)| {
                    let optional = if rule.optional { ", or left out" } else { "" };
                    format!("{name}: {rule}{optional}")
                })),
            }
            with.extend(bonds(&right.extra));
            let registered: Vec<&Tool> =
                self.scenario.tools.iter().filter(|tool| name_fits(&right.tool, &tool.name)).collect();
            if registered.is_empty() {
                with.push("no tool of this name is registered".into());
            }
            if right.tool.contains('*') {
                self.each(&registered, &mut with);
            }
            self.add(format!("call tool {}", right.tool), with, (&right.id, right.line), |target| match target {
                Target::Tool(theirs) if right.tool.contains('*') => {
                    within::name(&right.tool, theirs)
                        || (touch(theirs, &right.tool, within::name)
                            && !registered.iter().any(|tool| name_fits(theirs, &tool.name)))
                }
                Target::Tool(theirs) => touch(theirs, &right.tool, within::name),
                Target::Effect(effect) => {
                    !right.tool.contains('*') && registered.iter().any(|tool| tool.effect == *effect)
                }
                _ => false,
            });
        }
    }

    /// What the site says to each of the tools that a pattern names: what holds for one holds for no other.
    fn each(&self, registered: &[&Tool], with: &mut Vec<String>) {
        let agent = &self.grant.agent;
        let rules = self.scenario.policy.rules.iter().filter(|rule| !rule.observed);
        let rules: Vec<&SiteRule> = rules.filter(|rule| rule.agent.as_ref().is_none_or(|only| only == agent)).collect();
        for tool in registered.iter().take(TOOLS_MAX) {
            let about = |rule: &&&SiteRule| match &rule.target {
                Target::Tool(theirs) => name_fits(theirs, &tool.name),
                Target::Effect(effect) => *effect == tool.effect,
                Target::Model(_) | Target::Memory { .. } | Target::Files { .. } | Target::Http { .. } => false,
            };
            let ceilings = self.scenario.policy.ceilings.iter().filter(|ceiling| !ceiling.observed);
            let mut above = ceilings.filter(|ceiling| {
                ceiling.tools.as_ref().is_some_and(|tools| !tools.iter().any(|bound| name_fits(bound, &tool.name)))
            });
            let said = match above.next() {
                Some(ceiling) => format!("not at all ({})", ceiling.rule.id),
                None => rules.iter().filter(about).map(|rule| condition(rule)).collect::<Vec<_>>().join("; "),
            };
            let said = if said.is_empty() { "allowed".into() } else { said };
            with.push(format!("{}: {said}", tool.name));
        }
        if registered.len() > TOOLS_MAX {
            with.push(format!("and {} tools more: `policy explain` answers for each", registered.len() - TOOLS_MAX));
        }
    }
}
