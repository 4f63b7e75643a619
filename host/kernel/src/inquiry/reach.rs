//! All that an agent could possibly do, with what binds it; and ways on which words could travel from one place to another,
//! through what agents share. Each step of a way is put to the kernel with the labels gathered so far.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::candidates::Candidates;
use super::{Question, Scenario, Verdict, call, witness};
use crate::call::{Call, Place};
use crate::constraint::Constraint;
use crate::labels::Labels;
use crate::pattern::name_fits;
use crate::policy::{Act, Duty, Grant, SiteRule, Target};
use crate::refusal::Rule;
use crate::rights::{Access, Extra};
use crate::tool::Effect;
use crate::within;

mod location;
mod tools;

pub use location::Location;

/// Agents on one way.
const STEPS_MAX: usize = 6;

/// Ways that are told.
const ROUTES_MAX: usize = 32;

/// Steps that are tried in all.
const TRIED_MAX: usize = 20_000;

/// Something that an agent can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// `read memory team/**`
    pub what: String,
    /// What binds it, each a sentence.
    pub with: Vec<String>,
    /// Where it stands.
    pub rule: Rule,
}

/// A way from one place to another.
#[derive(Clone, Debug)]
pub struct Route {
    /// One agent after the other.
    pub stops: Vec<Stop>,
    /// What the last run has read.
    pub labels: Labels,
    /// The refusal that cuts it; none if it is open.
    pub cut: Option<crate::refusal::Refusal>,
}

/// One agent on a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Who.
    pub agent: String,
    /// What it reads.
    pub reads: Call,
    /// Where it puts that.
    pub writes: Call,
    /// True if people are asked on the way.
    pub asks: bool,
}

/// All that the grant of an agent gives, as far as the site lets it. None if no file grants it anything.
pub fn capabilities(scenario: &Scenario, agent: &str) -> Option<Vec<Capability>> {
    let grant = scenario.grant(agent)?;
    let mut list = List { scenario, grant, capabilities: Vec::new() };
    list.models();
    list.memory();
    list.files();
    list.tools();
    list.web();
    list.agents();
    list.human();
    Some(list.capabilities)
}

struct List<'a> {
    scenario: &'a Scenario,
    grant: &'a Grant,
    capabilities: Vec<Capability>,
}

impl List<'_> {
    fn add(&mut self, what: String, own: Vec<String>, (id, line): (&str, u32), about: impl Fn(&Target) -> bool) {
        let mut with = own;
        let agent = &self.grant.agent;
        let rules = self.scenario.policy.rules.iter().filter(|rule| !rule.observed);
        let rules = rules.filter(|rule| rule.agent.as_ref().is_none_or(|only| only == agent) && about(&rule.target));
        with.extend(rules.map(condition));
        let rule = Rule { id: id.into(), file: self.grant.rule.file.clone(), line };
        self.capabilities.push(Capability { what, with, rule });
    }

    /// What a ceiling leaves of a pattern; none if nothing.
    fn ceiling<'c>(
        &'c self,
        pattern: &str,
        of: impl Fn(&'c crate::policy::Ceiling) -> Option<&'c Vec<String>>,
    ) -> Option<Vec<String>> {
        let mut with = Vec::new();
        for ceiling in self.scenario.policy.ceilings.iter().filter(|ceiling| !ceiling.observed) {
            let Some(bounds) = of(ceiling) else { continue };
            if bounds.iter().any(|bound| within::name(pattern, bound)) {
                continue;
            }
            let left: Vec<&str> =
                bounds.iter().filter(|bound| within::name(bound, pattern)).map(String::as_str).collect();
            if left.is_empty() {
                return None;
            }
            with.push(format!("of these only {} ({})", left.join(", "), ceiling.rule.id));
        }
        Some(with)
    }

    fn models(&mut self) {
        let Some(right) = &self.grant.rights.llm else { return };
        let id = format!("{}/llm", self.grant.agent);
        for pattern in &right.models {
            let Some(mut with) = self.ceiling(pattern, |ceiling| ceiling.models.as_ref()) else { continue };
            with.extend(right.max_tokens.map(|most| format!("answers of at most {most} tokens")));
            self.add(
                format!("ask models {pattern}"),
                with,
                (&id, right.line),
                |target| matches!(target, Target::Model(theirs) if touch(theirs, pattern, within::name)),
            );
        }
    }

    fn memory(&mut self) {
        let Some(right) = &self.grant.rights.memory else { return };
        let id = format!("{}/memory", self.grant.agent);
        for (verb, patterns, write) in [("read", &right.read, false), ("write", &right.write, true)] {
            for pattern in patterns {
                let with =
                    if write || right.labels.is_empty() { Vec::new() } else { alloc::vec![gains(&right.labels)] };
                self.add(format!("{verb} memory {pattern}"), with, (&id, right.line), |target| match target {
                    Target::Memory { namespace, acts } => {
                        let tree = format!("{namespace}/**");
                        let tree = if namespace.is_empty() { "**" } else { &tree };
                        acts_touch(acts, write) && touch(tree, pattern, within::namespace)
                    }
                    _ => false,
                });
            }
        }
    }

    fn files(&mut self) {
        let id = format!("{}/files", self.grant.agent);
        for right in &self.grant.rights.files {
            let write = right.access == Access::ReadWrite;
            let verb = if write { "read and write" } else { "read" };
            let with = if right.labels.is_empty() { Vec::new() } else { alloc::vec![gains(&right.labels)] };
            let what = format!("{verb} files of root {} in {}", right.root, right.at);
            self.add(what, with, (&id, right.line), |target| match target {
                Target::Files { root, at, acts } => {
                    *root == right.root
                        && (acts_touch(acts, false) || (write && acts_touch(acts, true)))
                        && touch(at, &right.at, within::subtree)
                }
                _ => false,
            });
        }
    }

    fn human(&mut self) {
        let Some(right) = &self.grant.rights.human else { return };
        let id = format!("{}/human", self.grant.agent);
        for (granted, what) in [(right.ask, "ask people questions of its own"), (right.notify, "tell people something")]
        {
            if granted {
                self.add(what.into(), Vec::new(), (&id, right.line), |_| false);
            }
        }
    }

    fn agents(&mut self) {
        let Some(right) = &self.grant.rights.agents else { return };
        let id = format!("{}/agents", self.grant.agent);
        let deep = || alloc::vec![format!("at most {} deep", right.max_depth)];
        let deeds = [
            ("call agent", &right.call, true),
            ("write to agent", &right.send, false),
            ("take and answer letters of agent", &right.receive, false),
        ];
        for (what, patterns, nests) in deeds {
            for pattern in patterns {
                let with = if nests { deep() } else { Vec::new() };
                self.add(format!("{what} {pattern}"), with, (&id, right.line), |_| false);
            }
        }
    }

    fn web(&mut self) {
        for right in &self.grant.rights.http {
            let mut with = alloc::vec![right.methods.join(", "), format!("paths {}", right.paths.join(", "))];
            let ceilings = self.scenario.policy.ceilings.iter().filter(|ceiling| !ceiling.observed);
            let mut bounds = ceilings.filter_map(|ceiling| Some((ceiling, ceiling.egress.as_ref()?)));
            let none_left = bounds.any(|(ceiling, bounds)| {
                if bounds.iter().any(|bound| within::origin(&right.to, bound)) {
                    return false;
                }
                let left: Vec<String> =
                    bounds.iter().filter(|bound| within::origin(bound, &right.to)).map(ToString::to_string).collect();
                with.push(format!("of these only {} ({})", left.join(", "), ceiling.rule.id));
                left.is_empty()
            });
            if none_left {
                continue;
            }
            let secrets = self.grant.rights.secrets.iter().filter(|secret| within::origin(&secret.only_to, &right.to));
            with.extend(secrets.map(|secret| format!("with secret {} for {}", secret.handle, secret.only_to)));
            with.extend(bonds(&right.extra));
            self.add(format!("reach {}", right.to), with, (&right.id, right.line), |target| match target {
                Target::Http { host, .. } => {
                    touch(host, &right.to.host, within::host) || right.to.host.ends_with(&format!(".{host}"))
                }
                Target::Effect(effect) => *effect == Effect::Egress,
                _ => false,
            });
        }
    }
}

fn touch(a: &str, b: &str, within: fn(&str, &str) -> bool) -> bool {
    within(a, b) || within(b, a)
}

fn acts_touch(acts: &[Act], write: bool) -> bool {
    acts.is_empty() || acts.iter().any(|act| (*act == Act::Read) != write)
}

fn gains(labels: &Labels) -> String {
    format!("its run gains {labels}")
}

/// What binds a rule of a grant besides the thing that it names.
fn bonds(extra: &Extra) -> Vec<String> {
    let mut bonds = Vec::new();
    if !extra.unless_any.is_empty() {
        bonds.push(format!("not once it has read one of {}", extra.unless_any));
    }
    if !extra.unless_all.is_empty() {
        bonds.push(format!("not once it has read {}", extra.unless_all));
    }
    bonds.extend(extra.rate.map(|rate| format!("at most {rate}")));
    bonds.extend(extra.approval.as_ref().map(|required| format!("after a yes from {}", required.from)));
    if !extra.labels.is_empty() {
        bonds.push(gains(&extra.labels));
    }
    bonds
}

/// A rule of the site as a condition.
fn condition(rule: &SiteRule) -> String {
    let tests = |tests: &[(String, Constraint)]| {
        tests.iter().map(|(name, test)| format!("{name} is {test}")).collect::<Vec<_>>().join(" and ")
    };
    let mut text = match &rule.duty {
        Duty::Forbid => String::from("forbidden"),
        Duty::Require(required) => format!("after a yes from {}", required.from),
        Duty::Mark { adds, removes } if removes.is_empty() => gains(adds),
        Duty::Mark { adds, removes } if adds.is_empty() => format!("its run does not gain {removes}"),
        Duty::Mark { adds, removes } => format!("its run gains {adds} and not {removes}"),
    };
    let mut when = Vec::new();
    if !rule.when.labels_all.is_empty() {
        when.push(format!("it has read {}", rule.when.labels_all));
    }
    if !rule.when.labels_any.is_empty() {
        when.push(format!("it has read one of {}", rule.when.labels_any));
    }
    if !rule.when.args.is_empty() {
        when.push(tests(&rule.when.args));
    }
    if !when.is_empty() {
        text.push_str(&format!(" if {}", when.join(" and ")));
    }
    if !rule.unless.is_empty() {
        text.push_str(&format!(" unless {}", tests(&rule.unless)));
    }
    format!("{text} ({})", rule.rule.id)
}

/// Ways from one place to another, the shortest first, those that are cut last. What two agents may both reach, memory or a root of
/// files, is a way from one to the other, and so is a letter; a root of one name is taken for one directory. A call of another agent is
/// none: a child does nothing that its caller may not do.
pub fn routes(scenario: &Scenario, from: &Location, to: &Location) -> Vec<Route> {
    let mut search = Search { scenario, to, routes: Vec::new(), tried: 0 };
    search.step(from, &Labels::NONE, &mut Vec::new());
    search.routes.sort_by_key(|route| (route.cut.is_some(), route.stops.len()));
    search.routes.truncate(ROUTES_MAX);
    search.routes
}

struct Search<'a> {
    scenario: &'a Scenario,
    to: &'a Location,
    routes: Vec<Route>,
    tried: usize,
}

impl Search<'_> {
    /// Goes on from a place with every agent that can read there and has not been on the way.
    fn step(&mut self, from: &Location, labels: &Labels, way: &mut Vec<Stop>) {
        for grant in &self.scenario.policy.grants {
            if way.len() == STEPS_MAX || way.iter().any(|stop| stop.agent == grant.agent) {
                continue;
            }
            for reads in self.reads(grant, from) {
                let Some((asks, brings)) = self.allowed(grant, labels, &reads) else { continue };
                let labels = labels.and(&brings);
                self.writes(grant, &labels, (&reads, asks), way);
            }
        }
    }

    fn writes(&mut self, grant: &Grant, labels: &Labels, (reads, asks): (&Call, bool), way: &mut Vec<Stop>) {
        let stop = |writes: Call, asks| Stop { agent: grant.agent.clone(), reads: reads.clone(), writes, asks };
        let mut cut = None;
        let mut open = false;
        for writes in self.ends(grant) {
            match self.ask(grant, labels, &writes) {
                Verdict::Refused(refusal) => {
                    cut.get_or_insert((writes, refusal));
                    continue;
                }
                Verdict::Asks(_) => self.end(labels, None, way, stop(writes, true)),
                Verdict::Allowed { .. } => self.end(labels, None, way, stop(writes, asks)),
            }
            open = true;
            break;
        }
        // One example of what is in the way is enough.
        if let Some((writes, refusal)) = cut.filter(|(_, refusal)| !open && refusal.rule.is_some()) {
            self.end(labels, Some(refusal), way, stop(writes, asks));
        }
        for (shared, writes) in location::shared(&self.scenario.policy, grant) {
            if self.tried >= TRIED_MAX || shared.lies_in(self.to) {
                continue;
            }
            let Some((also, _)) = self.allowed(grant, labels, &writes) else { continue };
            way.push(stop(writes, asks || also));
            self.step(&shared, labels, way);
            way.pop();
        }
    }

    fn end(&mut self, labels: &Labels, cut: Option<crate::refusal::Refusal>, way: &[Stop], last: Stop) {
        let stops = way.iter().cloned().chain([last]).collect();
        self.routes.push(Route { stops, labels: labels.clone(), cut });
    }

    fn ask(&mut self, grant: &Grant, labels: &Labels, what: &Call) -> Verdict {
        self.tried += 1;
        self.scenario.ask(&Question {
            agent: grant.agent.clone(),
            package: None,
            labels: labels.clone(),
            call: what.clone(),
        })
    }

    fn allowed(&mut self, grant: &Grant, labels: &Labels, what: &Call) -> Option<(bool, Labels)> {
        match self.ask(grant, labels, what) {
            Verdict::Refused(_) => None,
            Verdict::Asks(_) => Some((true, Labels::NONE)),
            Verdict::Allowed { brings, .. } => Some((false, brings)),
        }
    }

    /// Calls by which an agent might read what lies there.
    fn reads(&self, grant: &Grant, from: &Location) -> Vec<Call> {
        match from {
            Location::Memory(pattern) => {
                let theirs = grant.rights.memory.iter().flat_map(|right| &right.read);
                let both = theirs.filter_map(|right| location::narrower(right, pattern, within::namespace));
                both.filter_map(|both| Some(call::memory(witness::namespaces(both).into_iter().next()?, Act::Read)))
                    .collect()
            }
            Location::Files(root, at) => {
                let theirs = grant.rights.files.iter().filter(|right| right.root == *root);
                let both = theirs.filter_map(|right| location::narrower(&right.at, at, within::subtree));
                let file = |at| Some(Place { root: root.clone(), path: witness::paths(at).into_iter().next()? });
                both.filter_map(|at| Some(call::file(file(at)?, Act::Read))).collect()
            }
            Location::Tool(pattern) => self.tools(grant, |name, _| name_fits(pattern, name)),
            Location::Egress(pattern) => self.web(grant, pattern),
            Location::Mailbox(of) if *of == grant.agent => alloc::vec![Call::AgentsReceive { timeout_ms: None }],
            Location::Mailbox(_) => Vec::new(),
        }
    }

    /// Calls by which an agent might put something into the place that is asked about.
    fn ends(&self, grant: &Grant) -> Vec<Call> {
        match self.to {
            Location::Memory(pattern) => {
                let theirs = grant.rights.memory.iter().flat_map(|right| &right.write);
                let both = theirs.filter_map(|right| location::narrower(right, pattern, within::namespace));
                both.filter_map(|both| Some(call::memory(witness::namespaces(both).into_iter().next()?, Act::Write)))
                    .collect()
            }
            Location::Files(root, at) => {
                let writable =
                    |right: &&crate::rights::FilesRight| right.root == *root && right.access == Access::ReadWrite;
                let theirs = grant.rights.files.iter().filter(writable);
                let both = theirs.filter_map(|right| location::narrower(&right.at, at, within::subtree));
                let file = |at| Some(Place { root: root.clone(), path: witness::paths(at).into_iter().next()? });
                both.filter_map(|at| Some(call::file(file(at)?, Act::Write))).collect()
            }
            Location::Tool(pattern) => self.tools(grant, |name, _| name_fits(pattern, name)),
            Location::Egress(pattern) => {
                let mut calls = self.web(grant, pattern);
                if pattern == "*" {
                    calls.extend(self.tools(grant, |_, effect| effect == Effect::Egress));
                }
                calls
            }
            Location::Mailbox(of) => alloc::vec![Call::letter_to(of)],
        }
    }

    fn web(&self, grant: &Grant, pattern: &str) -> Vec<Call> {
        let candidates = Candidates { old: self.scenario, new: self.scenario };
        let rights =
            grant.rights.http.iter().filter(|right| touch(&right.to.host, pattern, within::host) || pattern == "*");
        rights.flat_map(|right| candidates.of_http(right).into_iter().take(4)).collect()
    }

    fn tools(&self, grant: &Grant, wanted: impl Fn(&str, Effect) -> bool) -> Vec<Call> {
        let candidates = Candidates { old: self.scenario, new: self.scenario };
        let tools = self.scenario.tools.iter().filter(|tool| wanted(&tool.name, tool.effect));
        let granted = tools.filter(|tool| grant.tools(&tool.name).next().is_some());
        granted.flat_map(|tool| candidates.tools(&grant.agent, &tool.name).take(64)).collect()
    }
}
