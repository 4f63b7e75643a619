//! A policy in Cedar's words: each right a `permit`, each rule of the site a `forbid`. What may be missing or of another type is
//! guarded, because Cedar skips a policy that errs, and a `forbid` that is skipped forbids nothing.

use agentry_kernel::approval::Required;
use agentry_kernel::constraint::{Arguments, Constraint, Literal, Test};
use agentry_kernel::labels::Labels;
use agentry_kernel::policy::{Act, Ceiling, Duty, Grant, Policy, SiteRule, Target};
use agentry_kernel::rights::{Access, Extra, Origin};

/// The three sets of policies that one of ours becomes.
#[derive(Debug, Default)]
pub struct Exported {
    /// Rights that nobody is asked about, and all that forbids.
    pub granted: String,
    /// All rights, and all that forbids.
    pub granted_or_asked: String,
    /// What asks people: here `permit` says "ask".
    pub asked: String,
}

/// Says a policy in Cedar.
pub fn export(policy: &Policy) -> Exported {
    let mut exported = Exported::default();
    for grant in &policy.grants {
        of_grant(grant, &mut exported);
    }
    for ceiling in policy.ceilings.iter().filter(|ceiling| !ceiling.observed) {
        exported.forbid(&of_ceiling(ceiling));
    }
    for rule in policy.rules.iter().filter(|rule| !rule.observed) {
        match &rule.duty {
            Duty::Forbid => exported.forbid(&condition(rule)),
            Duty::Require(_) => exported.asked.push_str(&permit(&condition(rule))),
            Duty::Mark { .. } => {}
        }
    }
    exported
}

impl Exported {
    fn permit(&mut self, condition: &str, approval: Option<&Required>) {
        let permit = permit(condition);
        if approval.is_none() {
            self.granted.push_str(&permit);
        }
        self.granted_or_asked.push_str(&permit);
    }

    fn forbid(&mut self, condition: &str) {
        let forbid = format!("forbid(principal, action, resource) when {{ {condition} }};\n");
        self.granted.push_str(&forbid);
        self.granted_or_asked.push_str(&forbid);
    }
}

fn permit(condition: &str) -> String {
    format!("permit(principal, action, resource) when {{ {condition} }};\n")
}

fn is(kind: &str) -> String {
    format!("action == Action::\"{kind}\"")
}

fn text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn any(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().collect();
    if parts.is_empty() { "false".into() } else { format!("({})", parts.join(" || ")) }
}

fn all(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().collect();
    if parts.is_empty() { "true".into() } else { format!("({})", parts.join(" && ")) }
}

/// `mail.*`
fn name(of: &str, pattern: &str) -> String {
    match pattern.strip_suffix('*') {
        Some(beginning) => format!("{of} like \"{beginning}*\""),
        None => format!("{of} == {}", text(pattern)),
    }
}

/// A top and all below it; the empty one is the root.
fn tree(of: &str, top: &str) -> String {
    match top.trim_start_matches('/') {
        "" => "true".into(),
        top => format!("({of} == {} || {of} like \"{top}/*\")", text(top)),
    }
}

fn namespace(of: &str, pattern: &str) -> String {
    match pattern.strip_suffix("**") {
        Some(top) => tree(of, top.trim_end_matches('/')),
        None => format!("{of} == {}", text(pattern)),
    }
}

fn host(pattern: &str) -> String {
    match pattern.strip_prefix('*') {
        Some(below) => format!("context.host like \"*{below}\""),
        None => format!("context.host == {}", text(pattern)),
    }
}

fn origin(origin: &Origin) -> String {
    all([
        format!("context.scheme == \"{}\"", origin.scheme.word()),
        format!("context.port == {}", origin.port),
        host(&origin.host),
    ])
}

fn url_path(pattern: &str) -> String {
    match pattern.strip_suffix("/**") {
        Some(top) => format!("(context.path == {} || context.path like \"{top}/*\")", text(top)),
        None => format!("context.path == {}", text(pattern)),
    }
}

fn labels(labels: &Labels) -> String {
    format!("[{}]", labels.iter().map(text).collect::<Vec<_>>().join(", "))
}

fn not_barred(extra: &Extra) -> String {
    let mut parts = Vec::new();
    if !extra.unless_any.is_empty() {
        parts.push(format!("!context.labels.containsAny({})", labels(&extra.unless_any)));
    }
    if !extra.unless_all.is_empty() {
        parts.push(format!("!context.labels.containsAll({})", labels(&extra.unless_all)));
    }
    all(parts)
}

fn of_grant(grant: &Grant, exported: &mut Exported) {
    let rights = &grant.rights;
    if let Some(llm) = &rights.llm {
        let models = any(llm.models.iter().map(|pattern| name("context.name", pattern)));
        exported.permit(&all([is("model"), models]), None);
    }
    if let Some(memory) = &rights.memory {
        for (patterns, acts) in [(&memory.read, "context.act == \"read\""), (&memory.write, "context.act != \"read\"")]
        {
            let names = any(patterns.iter().map(|pattern| namespace("context.name", pattern)));
            exported.permit(&all([is("memory"), acts.into(), names]), None);
        }
    }
    for files in &rights.files {
        let acts = if files.access == Access::ReadWrite { "true" } else { "context.act == \"read\"" };
        let place = all([format!("context.root == {}", text(&files.root)), tree("context.path", &files.at)]);
        exported.permit(&all([is("files"), acts.into(), place]), None);
    }
    for tool in &rights.tools {
        let parts = [is("tool"), name("context.name", &tool.tool), arguments(&tool.args), not_barred(&tool.extra)];
        exported.permit(&all(parts), tool.extra.approval.as_ref());
    }
    for http in &rights.http {
        let methods = any(http.methods.iter().map(|method| format!("context.method == {}", text(method))));
        let paths = any(http.paths.iter().map(|path| url_path(path)));
        let parts = [is("http"), origin(&http.to), methods, paths, not_barred(&http.extra)];
        exported.permit(&all(parts), http.extra.approval.as_ref());
    }
}

fn of_ceiling(ceiling: &Ceiling) -> String {
    let mut parts = Vec::new();
    for (kind, patterns) in [("model", &ceiling.models), ("tool", &ceiling.tools)] {
        if let Some(patterns) = patterns {
            parts.push(all([
                is(kind),
                format!("!{}", any(patterns.iter().map(|pattern| name("context.name", pattern)))),
            ]));
        }
    }
    if let Some(origins) = &ceiling.egress {
        parts.push(all([is("http"), format!("!{}", any(origins.iter().map(origin)))]));
    }
    any(parts)
}

fn condition(rule: &SiteRule) -> String {
    let mut parts = vec![target(&rule.target)];
    parts.extend(rule.agent.as_ref().map(|agent| format!("principal == Agent::{}", text(agent))));
    if !rule.when.labels_any.is_empty() {
        parts.push(format!("context.labels.containsAny({})", labels(&rule.when.labels_any)));
    }
    if !rule.when.labels_all.is_empty() {
        parts.push(format!("context.labels.containsAll({})", labels(&rule.when.labels_all)));
    }
    parts.extend(rule.when.args.iter().map(|(name, rule)| given(name, rule, may_fit)));
    if !rule.unless.is_empty() {
        parts.push(format!("!{}", all(rule.unless.iter().map(|(name, rule)| given(name, rule, fits)))));
    }
    all(parts)
}

fn acts(acts: &[Act]) -> String {
    if acts.is_empty() {
        "true".into()
    } else {
        any(acts.iter().map(|act| format!("context.act == \"{}\"", act.word())))
    }
}

fn target(target: &Target) -> String {
    match target {
        Target::Tool(pattern) => all([is("tool"), name("context.name", pattern)]),
        Target::Effect(effect) => format!("context.effect == \"{}\"", effect.word()),
        Target::Model(pattern) => all([is("model"), name("context.name", pattern)]),
        Target::Memory { namespace, acts: only } => all([is("memory"), tree("context.name", namespace), acts(only)]),
        Target::Files { root, at, acts: only } => {
            all([is("files"), format!("context.root == {}", text(root)), tree("context.path", at), acts(only)])
        }
        Target::Http { host: pattern, methods, paths } => {
            // What lies below a forbidden host is forbidden too.
            let below = if pattern.starts_with('*') { "false".into() } else { host(&format!("*.{pattern}")) };
            let mut parts = vec![is("http"), any([host(pattern), below])];
            if !methods.is_empty() {
                parts.push(any(methods.iter().map(|method| format!("context.method == {}", text(method)))));
            }
            if !paths.is_empty() {
                parts.push(any(paths
                    .iter()
                    .map(|path| format!("(context.path == {} || context.path like \"{path}/*\")", text(path)))));
            }
            all(parts)
        }
    }
}

fn arguments(arguments: &Arguments) -> String {
    let Arguments::Listed(listed) = arguments else { return "true".into() };
    let names: Vec<String> = listed.iter().map(|(name, _)| text(name)).collect();
    let known = if names.is_empty() {
        "context.names == []".into()
    } else {
        format!("[{}].containsAll(context.names)", names.join(", "))
    };
    let each = listed.iter().map(|(name, rule)| {
        let given = given(name, rule, fits);
        if rule.optional { format!("(!(context.args has {name}) || {given})") } else { given }
    });
    all([known].into_iter().chain(each))
}

/// An argument that is there and passes every test.
fn given(name: &str, rule: &Constraint, test: fn(&str, &Test) -> String) -> String {
    let tests = all(rule.tests.iter().map(|one| test(name, one)));
    format!("(context.args has {name} && {tests})")
}

fn literal(literal: &Literal) -> String {
    match literal {
        Literal::Bool(value) => value.to_string(),
        Literal::Integer(number) => number.to_string(),
        Literal::Text(value) => text(value),
    }
}

fn kind_of(literal: &Literal) -> &'static str {
    match literal {
        Literal::Bool(_) => "bool",
        Literal::Integer(_) => "integer",
        Literal::Text(_) => "text",
    }
}

fn fits(name: &str, test: &Test) -> String {
    let (value, kind) = (format!("context.args.{name}"), |kind: &str| format!("context.kinds.{name} == \"{kind}\""));
    let list = |literals: &[Literal]| format!("[{}]", literals.iter().map(literal).collect::<Vec<_>>().join(", "));
    match test {
        Test::Any => "true".into(),
        Test::In(literals) => format!("{}.contains({value})", list(literals)),
        Test::EachIn(literals) => all([kind("list"), format!("{}.containsAll({value})", list(literals))]),
        Test::Prefix(prefix) => all([kind("text"), format!("{value} like \"{prefix}*\"")]),
        Test::Between { min, max } => all([kind("integer"), format!("{value} >= {min}"), format!("{value} <= {max}")]),
        Test::BytesMax(most) => all([kind("text"), format!("context.sizes.{name} <= {most}")]),
        Test::ItemsMin(least) => all([kind("list"), format!("context.sizes.{name} >= {least}")]),
        Test::ItemsMax(most) => all([kind("list"), format!("context.sizes.{name} <= {most}")]),
        Test::Host(_) | Test::Path(_) => panic!("the universe has none: how they are read is ours alone"),
    }
}

/// For what forbids: a value of another kind than the test thinks of could be taken for one that passes.
fn may_fit(name: &str, test: &Test) -> String {
    let other = |kind: &str, rest: String| format!("(context.kinds.{name} != \"{kind}\" || {rest})");
    let value = format!("context.args.{name}");
    match test {
        Test::In(literals) => {
            any(literals.iter().map(|one| other(kind_of(one), format!("{value} == {}", literal(one)))))
        }
        // One item that could be one of them is enough; which items could is told by the context, item by item.
        Test::EachIn(literals) => {
            let some = literals.iter().map(|one| {
                let kinds = ["bool", "integer", "text"].into_iter().filter(|kind| *kind != kind_of(one));
                let strange = kinds.chain(["other"]).map(|kind| format!("context.items.{name}.contains(\"{kind}\")"));
                any(strange.chain([format!("{value}.contains({})", literal(one))]))
            });
            other("list", any(some))
        }
        Test::Any => "true".into(),
        Test::Prefix(_) | Test::BytesMax(_) => other("text", fits(name, test)),
        Test::Between { .. } => other("integer", fits(name, test)),
        Test::ItemsMin(_) | Test::ItemsMax(_) => other("list", fits(name, test)),
        Test::Host(_) | Test::Path(_) => panic!("the universe has none: how they are read is ours alone"),
    }
}
