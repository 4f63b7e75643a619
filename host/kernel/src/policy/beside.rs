//! What a policy says beside what there is: models, tools, people and agents that it names and nobody knows, a grant that is over, a
//! model without a price under a limit of money. A warning never changes what is granted.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::rules::{Duty, Target};
use super::whole::Findings;
use super::{Grant, Mistake, Policy, Source};
use crate::approval::{Approvers, Required};
use crate::budget::Resource;
use crate::constraint::{Arguments, Constraint};
use crate::labels::{Labels, UNTRUSTED};
use crate::model::Model;
use crate::pattern::name_fits;
use crate::refusal::Rule;
use crate::text;
use crate::time::Millis;
use crate::tool::Tool;

/// The model that a test or an author names on the command line, and no configuration does.
const SCRIPTED: &str = "scripted";

/// What there is in a home.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Now.
    pub at: Millis,
    /// The models of the configuration.
    pub models: Vec<Model>,
    /// The tools of the registry.
    pub tools: Vec<Tool>,
    /// Of those whose schema lists them, the names of their arguments, by the name of the tool.
    pub arguments: BTreeMap<String, Vec<String>>,
    /// Of these arguments, the kind that a schema gives them: `integer`, `string`, …, by the names of tool and argument.
    pub kinds: BTreeMap<(String, String), String>,
    /// Handles of the secrets that are configured.
    pub secrets: Vec<String>,
    /// Agents that are there or have run.
    pub agents: Vec<String>,
    /// Packages that are here, or, of agents that are not, have run: `publisher:name@version`.
    pub packages: Vec<String>,
    /// Agents that others can call and write to by name.
    pub named: Vec<String>,
    /// Who is enrolled to answer.
    pub people: Vec<String>,
    /// Groups in which somebody is.
    pub groups: Vec<String>,
}

/// Looks at all files of a policy.
pub(super) fn find(policy: &Policy, sources: &[Source<'_>], beside: &Beside) -> Vec<Mistake> {
    let mut found = Findings::new(sources);
    let known = Known::of(policy, beside);
    for grant in &policy.observed {
        observer(grant, policy, &mut found);
    }
    for grant in &policy.grants {
        holder(grant, beside, &mut found);
    }
    for grant in policy.grants.iter().chain(&policy.observed) {
        expired(grant, beside.at, &mut found);
        package(grant, beside, &mut found);
        models(grant, policy, beside, &mut found);
        for right in &grant.rights.tools {
            tool(&grant.rule.file, right.line, &right.tool, beside, &mut found);
            if let Arguments::Listed(args) = &right.args {
                arguments((&grant.rule.file, right.line), &right.tool, args, beside, &mut found);
                kinds((&grant.rule.file, right.line), &right.tool, args, beside, &mut found);
            }
        }
        for right in &grant.rights.secrets {
            if !beside.secrets.contains(&right.handle) {
                let message = format!("no secret is called `{}`", right.handle);
                let fresh = format!("add it to agentry.toml of the home: [secrets.{}]", right.handle);
                found.warn(&grant.rule.file, right.line, message, &near(&right.handle, &beside.secrets, fresh));
            }
        }
        called(grant, beside, &mut found);
        let of_tools = grant.rights.tools.iter().map(|right| (&right.extra, right.line));
        let of_hosts = grant.rights.http.iter().map(|right| (&right.extra, right.line));
        for (extra, line) in of_tools.chain(of_hosts) {
            for labels in [&extra.unless_any, &extra.unless_all] {
                known.label(&grant.rule.file, line, labels, &mut found);
            }
            if let Some(required) = &extra.approval {
                people(&grant.rule.file, line, required, beside, &mut found);
            }
        }
        if let Some(required) = &grant.budget.ask {
            people(&grant.rule.file, required.rule.line, required, beside, &mut found);
        }
    }
    for rule in &policy.rules {
        if let (true, Duty::Mark { .. }) = (rule.observed, &rule.duty) {
            let message = format!("{} does nothing: a mark cannot be observed", rule.rule.id);
            let hint = "put it into a site file without `mode = \"observe\"`, or take it out";
            found.warn(&rule.rule.file, rule.rule.line, message, hint);
        }
        let (file, line) = (&rule.rule.file, rule.rule.line);
        match &rule.target {
            Target::Tool(pattern) => {
                tool(file, line, pattern, beside, &mut found);
                for args in [&rule.when.args, &rule.unless] {
                    arguments((file, line), pattern, args, beside, &mut found);
                }
            }
            Target::Model(pattern) => model(file, line, pattern, beside, &mut found),
            Target::Files { root, .. } => misspelt(file, line, ("root", root), &known.roots, &mut found),
            Target::Memory { namespace, .. } => {
                misspelt(file, line, ("namespace", namespace), &known.namespaces, &mut found);
            }
            Target::Http { host, .. } => misspelt(file, line, ("host", host), &known.hosts, &mut found),
            Target::Effect(_) => {}
        }
        for labels in [&rule.when.labels_any, &rule.when.labels_all] {
            known.label(file, line, labels, &mut found);
        }
        if let Duty::Mark { removes, .. } = &rule.duty {
            known.label(file, line, removes, &mut found);
        }
        if let Duty::Require(required) = &rule.duty {
            people(file, line, required, beside, &mut found);
        }
    }
    found.found
}

/// What grants, rules and tools name, each once.
struct Known {
    labels: Vec<String>,
    roots: Vec<String>,
    namespaces: Vec<String>,
    hosts: Vec<String>,
}

impl Known {
    fn of(policy: &Policy, beside: &Beside) -> Self {
        let rights = || policy.grants.iter().map(|grant| &grant.rights);
        let marks = policy.rules.iter().filter_map(|rule| match &rule.duty {
            Duty::Mark { adds, .. } => Some(adds),
            Duty::Forbid | Duty::Require(_) => None,
        });
        let gained = rights().flat_map(|rights| {
            let files = rights.files.iter().map(|right| &right.labels);
            let extras =
                rights.tools.iter().map(|right| &right.extra).chain(rights.http.iter().map(|right| &right.extra));
            files.chain(rights.memory.iter().map(|right| &right.labels)).chain(extras.map(|extra| &extra.labels))
        });
        let of_tools = beside.tools.iter().map(|tool| &tool.labels);
        let labels = marks.chain(gained).chain(of_tools).flat_map(Labels::iter).chain([UNTRUSTED]);
        let own = beside.agents.iter().map(|agent| format!("agent/{agent}"));
        let granted =
            rights().flat_map(|rights| &rights.memory).flat_map(|memory| memory.read.iter().chain(&memory.write));
        let tops = granted.map(|pattern| pattern.trim_end_matches("/**").to_string());
        Self {
            labels: labels.map(ToString::to_string).collect(),
            roots: rights().flat_map(|rights| &rights.files).map(|right| right.root.clone()).collect(),
            namespaces: own.chain(tops).collect(),
            hosts: rights().flat_map(|rights| &rights.http).map(|right| right.to.host.to_string()).collect(),
        }
    }

    /// A label that nothing gives: what tests it never applies.
    fn label(&self, file: &str, line: u32, labels: &Labels, found: &mut Findings<'_>) {
        for label in labels.iter().filter(|label| !self.labels.iter().any(|known| known == label)) {
            let message = format!("nothing gives the label `{label}`, so no run ever holds it");
            let fresh = format!("a root, tool or `[[label]]` rule gives it: labels = [\"{label}\"]");
            found.warn(file, line, message, &near(label, &self.labels, fresh));
        }
    }
}

/// A name that grants do not use and that is nearly one which they do. Others may be for grants to come.
fn misspelt(file: &str, line: u32, (what, name): (&str, &str), known: &[String], found: &mut Findings<'_>) {
    if known.iter().any(|known| known == name) {
        return;
    }
    if let Some(near) = text::nearest(name, known.iter().map(String::as_str)) {
        let message = format!("no grant names the {what} `{name}`, so this changes nothing");
        found.warn(file, line, message, &format!("did you mean `{near}`?"));
    }
}

/// What was probably meant, or what to do about a name that is new.
fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a String>, otherwise: String) -> String {
    match text::nearest(name, known.into_iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => otherwise,
    }
}

/// A grant that only observes has something to say beside one that is in force, and of calls alone.
fn observer(grant: &Grant, policy: &Policy, found: &mut Findings<'_>) {
    let Rule { file, line, .. } = &grant.rule;
    if policy.grants.iter().all(|other| other.agent != grant.agent) {
        let message =
            format!("only observes, and no grant of `{}` is in force: it gives nothing and tells nothing", grant.agent);
        found.warn(
            file,
            *line,
            message,
            "take out `mode = \"observe\"`, or write the grant that it is to be tried beside",
        );
    }
    if Resource::ALL.into_iter().any(|what| grant.budget.has(what)) {
        let line = found.line_of(file, "[budget]").unwrap_or(*line);
        let message = "limits nothing: a budget cannot be observed".to_string();
        found.warn(file, line, message, "put it into the grant that is in force, or take it out");
    }
}

/// A package of which no version that is here is meant.
fn package(grant: &Grant, beside: &Beside, found: &mut Findings<'_>) {
    let Some(pattern) = grant.package.as_ref() else { return };
    let of_agent = |package: &&String| {
        let name = package.split('@').next().unwrap_or_default();
        name.split_once(':').is_some_and(|(_, agent)| agent == grant.agent)
    };
    let known: Vec<&String> = beside.packages.iter().filter(of_agent).collect();
    let is_meant = |package: &&String| package.split_once('@').is_some_and(|(name, version)| pattern.is(name, version));
    let Some(newest) = known.first().filter(|_| !known.iter().any(is_meant)) else { return };
    let line = found.line_of(&grant.rule.file, "package").unwrap_or(grant.rule.line);
    let message = format!("never matches what is here, `{newest}`: `{}` is granted nothing", grant.agent);
    let (name, version) = newest.split_once('@').unwrap_or((newest, "1.0.0"));
    found.warn(&grant.rule.file, line, message, &format!("write package = \"{name}@^{version}\""));
}

fn expired(grant: &Grant, at: Millis, found: &mut Findings<'_>) {
    if grant.expires.is_some_and(|end| end <= at) {
        let line = found.line_of(&grant.rule.file, "expires").unwrap_or(grant.rule.line);
        let message = format!("the grant of `{}` is over: it grants nothing any more", grant.agent);
        found.warn(&grant.rule.file, line, message, "write a later date, or remove the file");
    }
}

fn holder(grant: &Grant, beside: &Beside, found: &mut Findings<'_>) {
    if beside.agents.contains(&grant.agent) {
        return;
    }
    let message = format!("no agent is called `{}` here, and none has run", grant.agent);
    let fresh = format!(
        "put its component at agents/{0}.wasm of the home, or run its file: agentry run ./{0}.wasm",
        grant.agent
    );
    let granted = |name: &&String| **name != grant.agent;
    let hint = near(&grant.agent, beside.agents.iter().filter(granted), fresh);
    found.warn(&grant.rule.file, grant.rule.line, message, &hint);
}

fn models(grant: &Grant, policy: &Policy, beside: &Beside, found: &mut Findings<'_>) {
    let Some(llm) = &grant.rights.llm else { return };
    let file = &grant.rule.file;
    for pattern in &llm.models {
        model(file, llm.line, pattern, beside, found);
    }
    let (whose, limited) = match (grant.budget.has(Resource::Usd), policy.budget.has(Resource::Usd)) {
        (true, _) => ("its budget", true),
        (false, of_site) => ("the site's budget", of_site),
    };
    let granted = |model: &&Model| llm.models.iter().any(|pattern| name_fits(pattern, &model.alias));
    for model in beside.models.iter().filter(|_| limited).filter(granted) {
        if model.price.is_none() && !model.local {
            let message = format!("model `{}` has no price and {whose} is in money: it is never asked", model.alias);
            let hint = format!(
                "below [models.{}] in agentry.toml: price = {{ input = 150_000, output = 600_000 }}, in micro-USD for a million tokens",
                model.alias
            );
            found.warn(file, llm.line, message, &hint);
        }
    }
}

fn model(file: &str, line: u32, pattern: &str, beside: &Beside, found: &mut Findings<'_>) {
    if pattern == SCRIPTED || beside.models.iter().any(|model| name_fits(pattern, &model.alias)) {
        return;
    }
    let known: Vec<String> = beside.models.iter().map(|model| model.alias.clone()).collect();
    let fresh = match known.as_slice() {
        [] => "`agentry models --help` shows how one is set up".to_string(),
        known => format!("`agentry models` lists {}", known.join(", ")),
    };
    found.warn(file, line, format!("no model {} `{pattern}`", named(pattern)), &near(pattern, &known, fresh));
}

/// How what a pattern names is said not to be there: a beginning is nobody's name.
fn named(pattern: &str) -> &'static str {
    if pattern.contains('*') { "fits" } else { "is called" }
}

fn tool(file: &str, line: u32, pattern: &str, beside: &Beside, found: &mut Findings<'_>) {
    if beside.tools.iter().any(|tool| name_fits(pattern, &tool.name)) {
        return;
    }
    let known: Vec<String> = beside.tools.iter().map(|tool| tool.name.clone()).collect();
    let fresh = match pattern.contains('*') {
        true => "`agentry tools` lists those of tools.toml".to_string(),
        false => format!("register it in tools.toml of the home: [tools.\"{pattern}\"]"),
    };
    found.warn(file, line, format!("no tool {} `{pattern}`", named(pattern)), &near(pattern, &known, fresh));
}

/// Arguments that no tool of this name has: a test of one never holds.
fn arguments(
    (file, line): (&str, u32),
    pattern: &str,
    tested: &[(String, Constraint)],
    beside: &Beside,
    found: &mut Findings<'_>,
) {
    let mut meant = beside.tools.iter().filter(|tool| name_fits(pattern, &tool.name)).peekable();
    let listed = |tool: &Tool| beside.arguments.get(&tool.name);
    if meant.peek().is_none() || meant.clone().any(|tool| listed(tool).is_none()) {
        return;
    }
    let known: Vec<String> = meant.filter_map(listed).flatten().cloned().collect();
    for (name, _) in tested.iter().filter(|(name, _)| !known.contains(name)) {
        let message =
            format!("`{pattern}` has no argument `{}`, so this fits no call that names one", text::show(name));
        let fresh = format!("`agentry tools --json` shows what it takes: {}", known.join(", "));
        found.warn(file, line, message, &near(name, &known, fresh));
    }
}

/// Whether a tool's argument could ever be what a grant says of it.
fn kinds(
    (file, line): (&str, u32),
    pattern: &str,
    tested: &[(String, Constraint)],
    beside: &Beside,
    found: &mut Findings<'_>,
) {
    let meant = || beside.tools.iter().filter(|tool| name_fits(pattern, &tool.name));
    for (name, constraint) in tested {
        let kind = |tool: &Tool| beside.kinds.get(&(tool.name.clone(), name.clone()));
        let never = |tool: &Tool| kind(tool).is_some_and(|kind| !constraint.could_fit(kind));
        let Some(first) = meant().next().and_then(kind).filter(|_| meant().all(never)) else { continue };
        let message =
            format!("argument `{}` of `{pattern}` is of the kind `{first}`, so this fits no call", text::show(name));
        let hint = match first.as_str() {
            "integer" | "number" => "for example { min = 1, max = 100 }",
            "string" => "for example { prefix = \"a\" }, or { in = [\"a\"] }",
            "array" => "for example { each_in = [\"a\"] }",
            "boolean" => "for example { in = [true] }",
            _ => "write `any`, or leave it out",
        };
        found.warn(file, line, message, hint);
    }
}

/// Whom it calls and writes to.
fn called(grant: &Grant, beside: &Beside, found: &mut Findings<'_>) {
    let Some(right) = &grant.rights.agents else { return };
    for pattern in right.call.iter().chain(&right.send) {
        if beside.named.iter().any(|name| name_fits(pattern, name)) {
            continue;
        }
        let message = format!("no agent {} `{pattern}` in agents.toml", named(pattern));
        let fresh = format!("add it to agents.toml of the home: [agents.{}]", pattern.trim_end_matches('*'));
        found.warn(&grant.rule.file, right.line, message, &near(pattern, &beside.named, fresh));
    }
}

/// Whom a rule asks, and whether there is anybody.
fn people(file: &str, line: u32, required: &Required, beside: &Beside, found: &mut Findings<'_>) {
    let (message, known, enrol) = match &required.from {
        Approvers::Anyone => return,
        Approvers::Group(group) if beside.groups.contains(group) => return,
        Approvers::Person(name) if beside.people.contains(name) => return,
        Approvers::Group(group) => {
            let enrol = format!("enrol somebody: agentry approver add NAME --group {group}");
            (format!("nobody is in `group:{group}`, so nobody can say yes"), (group, &beside.groups), enrol)
        }
        Approvers::Person(name) => {
            let enrol = format!("enrol them: agentry approver add {name}");
            (format!("no approver is called `{name}`, so nobody can say yes"), (name, &beside.people), enrol)
        }
    };
    let (name, known) = known;
    let hint = match text::nearest(name, known.iter().map(String::as_str)) {
        Some(near) if matches!(required.from, Approvers::Group(_)) => format!("did you mean `group:{near}`?"),
        None if beside.groups.contains(name) => format!("did you mean `group:{name}`?"),
        _ => near(name, known, enrol),
    };
    found.warn(file, line, message, &hint);
}
