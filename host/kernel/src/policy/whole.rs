//! What the files of a policy say together and probably do not mean: a grant beyond the ceiling, a rule that gives nothing
//! because the site forbids all of it, a rule of the site for nobody. A warning never changes what is granted.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::draft::list;
use super::rules::{Ceiling, Duty, SiteRule, Target};
use super::subject::Act;
use super::{Grant, Mistake, Policy, Source};
use crate::budget::{Resource, Window};
use crate::fold;
use crate::limits::MISTAKES_MAX;
use crate::refusal::Rule;
use crate::text;
use crate::within;

/// Pairs of rules that are looked at: a policy of ten thousand rules is loaded without being compared whole.
const LOOKS_MAX: usize = 100_000;

/// Looks at all files together.
pub(super) fn find(policy: &Policy, sources: &[Source<'_>]) -> Vec<Mistake> {
    let mut found = Findings::new(sources);
    for grant in &policy.grants {
        for ceiling in policy.ceilings.iter().filter(|ceiling| !ceiling.observed) {
            above(grant, ceiling, &mut found);
        }
        over_budget(grant, policy, &mut found);
        let parts = 1 + grant.rights.tools.len() + grant.rights.http.len() + grant.rights.files.len();
        for rule in policy.rules.iter().filter(|rule| forbids_always(rule, &grant.agent)) {
            if !found.may_look(parts) {
                break;
            }
            forbidden(grant, rule, &mut found);
        }
    }
    site(policy, &mut found);
    tests_for_nobody(policy, &mut found);
    found.found
}

/// Warnings, each with the line that it is about.
pub(super) struct Findings<'a> {
    sources: &'a [Source<'a>],
    pub(super) found: Vec<Mistake>,
    looks_left: usize,
}

impl<'a> Findings<'a> {
    pub(super) fn new(sources: &'a [Source<'a>]) -> Self {
        Self { sources, found: Vec::new(), looks_left: LOOKS_MAX }
    }

    /// The line of a key or a heading of a file, from 1.
    pub(super) fn line_of(&self, file: &str, key: &str) -> Option<u32> {
        let source = self.sources.iter().find(|source| source.file == file)?;
        let is_key = |line: &str| {
            let rest = line.trim_start().strip_prefix(key).map(str::trim_start);
            rest.is_some_and(|rest| key.starts_with('[') || rest.starts_with('='))
        };
        u32::try_from(source.text.lines().position(is_key)? + 1).ok()
    }

    fn may_look(&mut self, times: usize) -> bool {
        let left = self.looks_left.checked_sub(times);
        self.looks_left = left.unwrap_or(0);
        left.is_some()
    }

    pub(super) fn warn(&mut self, file: &str, line: u32, message: String, hint: &str) {
        if self.found.len() >= MISTAKES_MAX {
            return;
        }
        let source = self.sources.iter().find(|source| source.file == file).copied();
        let source = source.unwrap_or(Source { file, text: "" });
        self.found.push(Mistake::in_line(source, line, message, hint));
    }
}

fn place(rule: &Rule) -> String {
    format!("{}:{}", rule.file, rule.line)
}

/// What a grant gives and this ceiling does not list.
fn above(grant: &Grant, ceiling: &Ceiling, found: &mut Findings<'_>) {
    const HINT: &str = "what is above it is denied: narrow the grant, or raise [ceiling]";
    let file = &grant.rule.file;
    let mut exceeds = |line: u32, what: &str, given: &str, bound: &str| {
        let message =
            format!("the grant of {what} `{given}` goes above the ceiling: {bound} ({})", place(&ceiling.rule));
        found.warn(file, line, message, HINT);
    };
    if let (Some(llm), Some(bound)) = (&grant.rights.llm, &ceiling.models) {
        for model in llm.models.iter().filter(|model| !bound.iter().any(|wide| within::name(model, wide))) {
            exceeds(llm.line, "model", model, &list(bound));
        }
    }
    if let Some(bound) = &ceiling.tools {
        for right in grant.rights.tools.iter().filter(|right| !bound.iter().any(|wide| within::name(&right.tool, wide)))
        {
            exceeds(right.line, "tool", &right.tool, &list(bound));
        }
    }
    if let Some(bound) = &ceiling.egress {
        let origins: Vec<String> = bound.iter().map(ToString::to_string).collect();
        for right in grant.rights.http.iter().filter(|right| !bound.iter().any(|wide| within::origin(&right.to, wide)))
        {
            exceeds(right.line, "address", &right.to.to_string(), &list(&origins));
        }
    }
}

/// Limits of a grant that its agent never comes near, because the site has less.
fn over_budget(grant: &Grant, policy: &Policy, found: &mut Findings<'_>) {
    for what in Resource::ALL {
        for window in [Window::Run, Window::Minute, Window::Day] {
            let limit = |budget: &super::Budget| budget.limits(window).get(what);
            let (Some(given), Some(bound)) = (limit(&grant.budget), limit(&policy.budget)) else { continue };
            if given <= bound {
                continue;
            }
            let (word, rule) = grant.budget.word(what, window);
            let (_, site) = policy.budget.word(what, window);
            let message = format!(
                "`{}` goes above the ceiling: the site has less ({})",
                word.unwrap_or(what.name()),
                place(&site)
            );
            found.warn(&rule.file, rule.line, message, "the lower of both holds: lower it, or raise [ceiling] budget");
        }
    }
}

fn forbids_always(rule: &SiteRule, agent: &str) -> bool {
    rule.duty == Duty::Forbid
        && !rule.observed
        && rule.unless.is_empty()
        && rule.when == super::When::default()
        && rule.agent.as_ref().is_none_or(|only| only == agent)
}

/// Parts of a grant that give nothing, because a rule without a condition forbids all of them.
fn forbidden(grant: &Grant, rule: &SiteRule, found: &mut Findings<'_>) {
    let rights = &grant.rights;
    let mut dead = |line: u32, what: String| {
        let message = format!("{what} gives nothing: {} forbids it ({})", rule.rule.id, place(&rule.rule));
        found.warn(
            &grant.rule.file,
            line,
            message,
            "no grant overrides the site: take it out, or give the rule a condition",
        );
    };
    match &rule.target {
        Target::Tool(pattern) => {
            for right in rights.tools.iter().filter(|right| within::name(&right.tool, pattern)) {
                dead(right.line, format!("rule `{}`", right.id));
            }
        }
        Target::Model(pattern) => {
            if let Some(llm) = &rights.llm {
                for model in llm.models.iter().filter(|model| within::name(model, pattern)) {
                    dead(llm.line, format!("model `{model}`"));
                }
            }
        }
        Target::Http { host, methods, paths } if methods.is_empty() && paths.is_empty() => {
            let below = |granted: &str| within::host(granted, host) || within::host(granted, &format!("*.{host}"));
            for right in rights.http.iter().filter(|right| below(&right.to.host)) {
                dead(right.line, format!("rule `{}`", right.id));
            }
        }
        Target::Memory { namespace, acts } => {
            let covers = |granted: &str| fold::covers(namespace, granted.strip_suffix("/**").unwrap_or(granted));
            if let Some(memory) = &rights.memory {
                for (granted, act) in [(&memory.read, Act::Read), (&memory.write, Act::Write)] {
                    let all = acts.is_empty() || acts.contains(&act);
                    for granted in granted.iter().filter(|granted| all && *granted != "**" && covers(granted)) {
                        dead(memory.line, format!("memory `{granted}`"));
                    }
                }
            }
        }
        Target::Files { root, at, acts } if acts.is_empty() => {
            for right in rights.files.iter().filter(|right| right.root == *root && fold::covers(at, &right.at)) {
                dead(right.line, format!("files `{}{}`", right.root, right.at));
            }
        }
        Target::Effect(_) | Target::Http { .. } | Target::Files { .. } => {}
    }
}

/// Rules of the site that never say anything, or nothing that another one does not say.
fn site(policy: &Policy, found: &mut Findings<'_>) {
    for (at, rule) in policy.rules.iter().enumerate() {
        let Rule { id, file, line } = &rule.rule;
        if let Some(agent) = &rule.agent
            && !policy.grants.iter().any(|grant| grant.agent == *agent)
        {
            let message = format!("{id} never applies: agent `{agent}` has no grant");
            let near = text::nearest(agent, policy.grants.iter().map(|grant| &*grant.agent));
            let hint = near.map_or_else(
                || "correct the name, or take the rule out".into(),
                |near| format!("did you mean `{near}`?"),
            );
            found.warn(file, *line, message, &hint);
        }
        let wider = |(place, other): &(usize, &SiteRule)| {
            let wider = forbids_always(other, rule.agent.as_deref().unwrap_or_default())
                && (other.agent.is_none() || other.agent == rule.agent)
                && covers(&other.target, &rule.target);
            *place != at && wider && (other.target != rule.target || !same(rule, other) || *place < at)
        };
        let compared = rule.duty == Duty::Forbid && !rule.observed && found.may_look(policy.rules.len());
        if let Some((_, other)) = policy.rules.iter().enumerate().filter(|_| compared).find(wider) {
            let message = format!("{id} changes nothing beside {} ({})", other.rule.id, place(&other.rule));
            found.warn(file, *line, message, "remove one of them");
        }
    }
}

/// Tests of the site that ask for an agent which has no grant: it is denied everything, whatever the rules say.
fn tests_for_nobody(policy: &Policy, found: &mut Findings<'_>) {
    let granted = || policy.grants.iter().map(|grant| &*grant.agent);
    for trial in policy.trials.iter().filter(|trial| granted().all(|agent| agent != trial.agent)) {
        let message = format!("the test tells nothing: agent `{}` has no grant", text::show(&trial.agent));
        let hint = match text::nearest(&trial.agent, granted()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name an agent that has one, or take the test out".to_string(),
        };
        found.warn(&trial.place.file, trial.place.line, message, &hint);
    }
}

fn same(one: &SiteRule, other: &SiteRule) -> bool {
    (&one.agent, &one.when, &one.unless) == (&other.agent, &other.when, &other.unless)
}

/// Whether a rule about `wide` is about all that one about `narrow` is about; no where that is not plain.
fn covers(wide: &Target, narrow: &Target) -> bool {
    match (wide, narrow) {
        (Target::Tool(wide), Target::Tool(narrow)) | (Target::Model(wide), Target::Model(narrow)) => {
            within::name(narrow, wide)
        }
        (Target::Memory { namespace, acts }, Target::Memory { namespace: narrow, acts: theirs }) => {
            fold::covers(namespace, narrow) && (acts.is_empty() || acts == theirs)
        }
        (Target::Files { root, at, acts }, Target::Files { root: of, at: narrow, acts: theirs }) => {
            root == of && fold::covers(at, narrow) && (acts.is_empty() || acts == theirs)
        }
        (wide, narrow) => wide == narrow,
    }
}
