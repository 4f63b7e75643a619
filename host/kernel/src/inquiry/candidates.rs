//! Calls on which two policies could differ: made from the patterns and constraints of both, few and telling. It decides nothing;
//! each is put to the kernel. Those of tools are made one by one as they are asked for, the simplest first.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::choices::Choices;
use super::{Scenario, call, witness};
use crate::call::{Call, Place};
use crate::constraint::{Arguments, Constraint};
use crate::json::Value;
use crate::labels::Labels;
use crate::pattern::{host_fits, name_fits, namespace_fits, path_fits};
use crate::policy::{Act, Ceiling, SiteRule, Target};
use crate::rights::{HttpRight, Origin, ToolRight};
use crate::within;

mod choices;

/// Calls of one tool by one agent, in which one argument is changed, and as many in which several are.
const CALLS_MAX: usize = 2048;

/// Names that stand for one pattern.
const NAMES_MAX: usize = 24;

/// Sets of labels that a call is tried with.
const LABELS_MAX: usize = 48;

/// Calls, made when somebody wants the next.
pub(super) type Calls<'a> = Box<dyn Iterator<Item = Call> + 'a>;

/// Two policies from whose words calls are made.
#[derive(Clone, Copy)]
pub(super) struct Candidates<'a> {
    pub(super) old: &'a Scenario,
    pub(super) new: &'a Scenario,
}

impl<'a> Candidates<'a> {
    fn scenarios(&self) -> [&'a Scenario; 2] {
        [self.new, self.old]
    }

    fn rules(&self) -> impl Iterator<Item = &'a SiteRule> + use<'a> {
        self.scenarios().into_iter().flat_map(|scenario| &scenario.policy.rules)
    }

    /// What a run may have read: nothing, each label that some rule tests, what a rule tests together, and all of it.
    pub(super) fn labels(&self) -> Vec<Labels> {
        let mut sets = alloc::vec![Labels::NONE];
        let grants = self.scenarios().into_iter().flat_map(|scenario| &scenario.policy.grants);
        let extras = grants.flat_map(|grant| {
            grant
                .rights
                .tools
                .iter()
                .map(|right| &right.extra)
                .chain(grant.rights.http.iter().map(|right| &right.extra))
        });
        let tested = extras.flat_map(|extra| [&extra.unless_any, &extra.unless_all]);
        let tested: Vec<&Labels> =
            tested.chain(self.rules().flat_map(|rule| [&rule.when.labels_any, &rule.when.labels_all])).collect();
        let every = within::names_of(tested.iter().copied());
        let mut add = |set: Labels| {
            if sets.len() < LABELS_MAX && !sets.contains(&set) {
                sets.push(set);
            }
        };
        every.iter().for_each(|label| add(Labels::of([label])));
        tested.iter().for_each(|set| add((*set).clone()));
        add(every);
        sets
    }

    /// Calls of the tools that a pattern names.
    pub(super) fn tools(self, agent: &'a str, pattern: &str) -> Calls<'a> {
        Box::new(self.tool_names(agent, pattern).into_iter().flat_map(move |name| self.calls_of(agent, &name)))
    }

    fn tool_names(&self, agent: &str, pattern: &str) -> Vec<String> {
        let grants = self.scenarios().into_iter().filter_map(|scenario| scenario.grant(agent));
        let granted = grants.flat_map(|grant| grant.rights.tools.iter().map(|right| right.tool.as_str()));
        let about = self.rules().filter_map(|rule| match &rule.target {
            Target::Tool(pattern) => Some(pattern.as_str()),
            _ => None,
        });
        let bounds = self.ceilings().flat_map(|ceiling| ceiling.tools.iter().flatten()).map(String::as_str);
        let known = self.scenarios().into_iter().flat_map(|scenario| &scenario.tools).map(|tool| tool.name.clone());
        names_in(pattern, known.chain(granted.chain(about).chain(bounds).flat_map(witness::names)))
    }

    fn aliases(&self, agent: &str, pattern: &str) -> Vec<String> {
        let grants = self.scenarios().into_iter().filter_map(|scenario| scenario.grant(agent)?.rights.llm.as_ref());
        let granted = grants.flat_map(|right| right.models.iter().map(String::as_str));
        let about = self.rules().filter_map(|rule| match &rule.target {
            Target::Model(pattern) => Some(pattern.as_str()),
            _ => None,
        });
        let bounds = self.ceilings().flat_map(|ceiling| ceiling.models.iter().flatten()).map(String::as_str);
        let known = self.scenarios().into_iter().flat_map(|scenario| &scenario.models).map(|model| model.alias.clone());
        names_in(pattern, known.chain(granted.chain(about).chain(bounds).flat_map(witness::names)))
    }

    fn ceilings(&self) -> impl Iterator<Item = &'a Ceiling> + use<'a> {
        self.scenarios().into_iter().flat_map(|scenario| &scenario.policy.ceilings)
    }

    fn calls_of(self, agent: &str, name: &str) -> Calls<'a> {
        let grants = self.scenarios().into_iter().filter_map(|scenario| scenario.grant(agent));
        let rights: Vec<&ToolRight> = grants.flat_map(|grant| grant.tools(name)).map(|(_, right)| right).collect();
        let mut lines: BTreeMap<&str, Vec<&Constraint>> = BTreeMap::new();
        for right in &rights {
            if let Arguments::Listed(listed) = &right.args {
                listed.iter().for_each(|(argument, rule)| lines.entry(argument).or_default().push(rule));
            }
        }
        let about = self.rules().filter(|rule| match &rule.target {
            Target::Tool(pattern) => name_fits(pattern, name),
            Target::Effect(_) => true,
            _ => false,
        });
        for (argument, rule) in about.flat_map(|rule| rule.unless.iter().chain(&rule.when.args)) {
            lines.entry(argument).or_default().push(rule);
        }
        if rights.is_empty() {
            return Box::new(core::iter::once(call::tool(name.into(), Value::Object(Vec::new()))));
        }
        let name = String::from(name);
        let each = move |arguments| call::tool(name.clone(), Value::Object(arguments));
        let choices: Arc<[Choices]> = rights.iter().map(|right| Choices::of(right, &lines)).collect();
        let combined = Arc::clone(&choices);
        let alone = (0..choices.len()).flat_map(move |at| {
            let choices = Arc::clone(&choices);
            choices[at].alone().map(move |chosen| choices[at].pick(&chosen))
        });
        let together = (0..combined.len()).flat_map(move |at| {
            let choices = Arc::clone(&combined);
            choices[at].together().map(move |chosen| choices[at].pick(&chosen))
        });
        Box::new(alone.take(CALLS_MAX).chain(together.take(CALLS_MAX)).map(each))
    }

    /// Questions to the models that a pattern names, of all lengths and classes on which grants differ.
    pub(super) fn models(&self, agent: &str, pattern: &str) -> Vec<Call> {
        let grants = self.scenarios().into_iter().filter_map(|scenario| scenario.grant(agent)?.rights.llm.as_ref());
        let rights: Vec<_> = grants.collect();
        let mut calls = Vec::new();
        for alias in self.aliases(agent, pattern) {
            let Call::LlmComplete(ask) = call::model(alias) else { continue };
            let lengths = rights.iter().filter_map(|right| right.max_tokens);
            let lengths = lengths.flat_map(|most| [Some(most), most.checked_add(1)]).flatten().map(Some);
            let classes = rights.iter().filter_map(|right| right.class);
            for length in [None].into_iter().chain(lengths) {
                calls.push(Call::LlmComplete(crate::call::Completion { output_tokens_max: length, ..ask.clone() }));
            }
            for class in classes.chain([crate::call::Class::Normal]) {
                calls.push(Call::LlmComplete(crate::call::Completion { class, ..ask.clone() }));
            }
        }
        calls
    }

    /// Calls in the namespaces that a pattern names.
    pub(super) fn memory(&self, pattern: &str, acts: &[Act]) -> Vec<Call> {
        let about = self.rules().filter_map(|rule| match &rule.target {
            Target::Memory { namespace, .. } if !namespace.is_empty() => Some(namespace.as_str()),
            _ => None,
        });
        let rights = self.scenarios().into_iter().flat_map(|scenario| &scenario.policy.grants);
        let rights = rights.filter_map(|grant| grant.rights.memory.as_ref());
        let granted = rights.flat_map(|right| right.read.iter().chain(&right.write)).map(String::as_str);
        let made =
            about.flat_map(|top| [top.to_string(), format!("{top}/x")]).chain(granted.flat_map(witness::namespaces));
        let all = witness::namespaces(pattern).into_iter().chain(made).filter(|name| namespace_fits(pattern, name));
        let mut names: Vec<String> = Vec::new();
        for name in all {
            if names.len() < NAMES_MAX && !names.contains(&name) {
                names.push(name);
            }
        }
        let calls = |name: &String| acts.iter().map(|act| call::memory(name.clone(), *act)).collect::<Vec<_>>();
        names.iter().flat_map(calls).collect()
    }

    /// Calls in a subtree of a root.
    pub(super) fn files(&self, root: &str, at: &str, acts: &[Act]) -> Vec<Call> {
        let about = self.rules().filter_map(|rule| match &rule.target {
            Target::Files { root: theirs, at, .. } if theirs == root => Some(at.as_str()),
            _ => None,
        });
        let rights = self.scenarios().into_iter().flat_map(|scenario| &scenario.policy.grants);
        let rights = rights.flat_map(|grant| &grant.rights.files).filter(|right| right.root == root);
        let made = about.chain(rights.map(|right| right.at.as_str())).flat_map(witness::paths);
        let all = witness::paths(at).into_iter().chain(made).filter(|path| path_fits(at, path));
        let mut paths: Vec<String> = Vec::new();
        for path in all {
            if paths.len() < NAMES_MAX && !paths.contains(&path) {
                paths.push(path);
            }
        }
        let place = |path: &String| Place { root: root.into(), path: path.clone() };
        paths.iter().flat_map(|path| acts.iter().map(move |act| call::file(place(path), *act))).collect()
    }

    /// Requests to these hosts.
    pub(super) fn http(&self, to: &Origin, methods: &[String], paths: &[String], secret: Option<&str>) -> Vec<Call> {
        let about: Vec<(&String, &Vec<String>)> = self
            .rules()
            .filter_map(|rule| match &rule.target {
                Target::Http { host, paths, .. } => Some((host, paths)),
                _ => None,
            })
            .collect();
        let rights = self
            .scenarios()
            .into_iter()
            .flat_map(|scenario| &scenario.policy.grants)
            .flat_map(|grant| &grant.rights.http);
        let bounds = self.ceilings().flat_map(|ceiling| ceiling.egress.iter().flatten());
        let named = rights.map(|right| &right.to).chain(bounds).map(|origin| origin.host.as_str());
        let named = named.chain(about.iter().map(|(host, _)| host.as_str()));
        let hosts = witness::hosts(&to.host).into_iter().chain(named.flat_map(witness::hosts));
        let mut addresses = Vec::new();
        let forbidden = about.iter().flat_map(|(_, paths)| paths.iter());
        let pieces: Vec<String> = paths.iter().chain(forbidden).flat_map(|path| witness::url_paths(path)).collect();
        for host in hosts.filter(|host| host_fits(&to.host, host)).take(NAMES_MAX) {
            for path in pieces.iter().take(NAMES_MAX) {
                let at = Origin { host: host.clone(), ..to.clone() };
                addresses.push(format!("{at}{path}"));
            }
        }
        let requests = addresses.iter().flat_map(|url| methods.iter().map(move |method| (method, url)));
        let request =
            |(method, url): (&String, &String)| call::fetch(method.clone(), url.clone(), secret.map(String::from));
        requests.take(CALLS_MAX).map(request).collect()
    }

    /// Requests that a rule gives.
    pub(super) fn of_http(&self, right: &HttpRight) -> Vec<Call> {
        self.http(&right.to, &right.methods, &right.paths, None)
    }
}

/// Names that stand for a pattern, its own and those of others that fit it.
fn names_in(pattern: &str, others: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in witness::names(pattern).into_iter().chain(others) {
        if names.len() < NAMES_MAX && name_fits(pattern, &name) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
