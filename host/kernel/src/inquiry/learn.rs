//! The tightest grant that what an agent did needs, as text to review: [`Policy::parse`](crate::policy::Policy::parse) reads it, and
//! under it the same calls are allowed. It grants nothing by itself.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Past, Replay};
use crate::approval::Required;
use crate::budget::{Amounts, Resource};
use crate::call::{Call, Class};
use crate::json::Value;
use crate::labels::Labels;
use crate::pattern::name_fits;
use crate::policy::{Policy, list, quoted};
use crate::refusal::Rule;
use crate::rights::{Origin, Rights};
use crate::text;
use crate::url::Url;

mod arguments;
mod tests_of;

/// Paths of one root that are listed one by one; more become the directory that holds them all.
const PATHS_MAX: usize = 16;

/// What was learnt: the runs of one agent.
#[derive(Clone, Debug)]
pub struct Suggestion<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// Its package, without a version; none if nobody knows.
    pub package: Option<&'a str>,
    /// What it did.
    pub runs: &'a [Past],
    /// The policy of now: a rule of its grant for which people were asked goes on asking the same.
    pub policy: Option<&'a Policy>,
}

/// How a path was used.
#[derive(Clone, Copy, Default)]
struct Path {
    written: bool,
    /// Whether something was there.
    found: bool,
}

/// What an agent used, sorted by what a grant says.
#[derive(Default)]
struct Used<'a> {
    models: BTreeSet<&'a str>,
    /// The longest answer that was wanted, or given to one who left it open.
    tokens: u64,
    class: Option<Class>,
    read: BTreeSet<&'a str>,
    write: BTreeSet<&'a str>,
    /// By root and path.
    files: BTreeMap<(&'a str, &'a str), Path>,
    tools: BTreeMap<&'a str, Vec<&'a Value>>,
    /// By origin and method: paths.
    http: BTreeMap<(String, &'a str), BTreeSet<&'a str>>,
    secrets: BTreeSet<(&'a str, String)>,
    asks: bool,
    notifies: bool,
    called: BTreeSet<&'a str>,
    written_to: BTreeSet<&'a str>,
    /// Whose letters it answered; whose it only took is not in the call.
    answered: BTreeSet<&'a str>,
}

/// Writes the grant.
pub fn learn(suggestion: &Suggestion<'_>) -> String {
    let mut used = Used::default();
    let calls =
        || suggestion.runs.iter().flat_map(|run| &run.calls).filter(|call| call.refusal.is_none() && !call.is_void());
    calls().for_each(|call| used.add(call));
    let runs = suggestion.runs.len();
    let mut text = format!(
        "# What agent `{}` needed in {runs} {}: review every line before you save it. What it did not do then is denied.\n\
         format = 1\nlayer = \"grant\"\nagent = {}\n",
        suggestion.agent,
        if runs == 1 { "run" } else { "runs" },
        quoted(suggestion.agent),
    );
    if let Some(package) = suggestion.package {
        text.push_str(&format!("package = {}\n", quoted(package)));
    }
    let grant = suggestion.policy.and_then(|policy| policy.grants.iter().find(|grant| grant.agent == suggestion.agent));
    if let Some(key) = grant.and_then(|grant| grant.publisher) {
        text.push_str(&format!("publisher = \"{key}\"\n"));
    }
    text.push_str("why = \"Learnt from what it did; say what it is for.\"\n");
    let approvals = approvals(suggestion);
    used.rights(&mut text, suggestion.agent, (&approvals, &Marks(grant.map(|grant| &grant.rights))));
    budget(&mut text, suggestion.runs);
    tests_of::write(&mut text, calls());
    text
}

impl<'a> Used<'a> {
    fn add(&mut self, replay: &'a Replay) {
        let answer = replay.held[Resource::TokensOut];
        let found = replay.failed.as_deref() != Some("not-found");
        match &replay.what {
            Call::LlmComplete(ask) | Call::LlmStream(ask) => {
                self.models.insert(&ask.model);
                self.tokens = self.tokens.max(ask.output_tokens_max.unwrap_or(answer));
                self.class = Some(self.class.map_or(ask.class, |class| class.min(ask.class)));
            }
            Call::LlmEmbed { model, .. } | Call::LlmCountTokens { model } => {
                self.models.insert(model);
            }
            Call::MemoryGet { namespace, .. } | Call::MemoryList { namespace, .. } => {
                self.read.insert(namespace);
            }
            Call::MemoryPut { namespace, .. } | Call::MemoryDelete { namespace, .. } => {
                self.write.insert(namespace);
            }
            Call::Memory { function, namespace } if function.ends_with("rollback") => {
                self.write.insert(namespace);
            }
            Call::Memory { namespace, .. } => {
                self.read.insert(namespace);
            }
            Call::FilesRead(place) | Call::FilesStat(place) | Call::FilesList(place) => {
                self.files.entry((&place.root, &place.path)).or_default().found |= found;
            }
            Call::FilesWrite { place, .. } | Call::FilesDelete(place) => {
                let path = self.files.entry((&place.root, &place.path)).or_default();
                *path = Path { written: true, found: path.found || found };
            }
            Call::ToolsCall { name, value, .. } => self.tools.entry(name).or_default().push(value),
            Call::Fetch(fetch) => {
                let Ok(url) = Url::parse(&fetch.url) else { return };
                let origin = Origin { scheme: url.scheme, host: url.name.into(), port: url.port }.to_string();
                if let Some(secret) = &fetch.secret {
                    self.secrets.insert((secret, origin.clone()));
                }
                self.http.entry((origin, &fetch.method)).or_default().insert(url.path);
            }
            Call::HumanAsk { .. } => self.asks = true,
            Call::HumanNotify { .. } => self.notifies = true,
            Call::AgentsCall(delegation) => drop(self.called.insert(&delegation.agent)),
            Call::AgentsSend(post) => drop(self.written_to.insert(&post.agent)),
            Call::AgentsReply { post, .. } => drop(self.answered.insert(&post.agent)),
            // A manifest or nothing gives these, or no host could do them.
            Call::LlmModels | Call::ToolsList | Call::AgentsFind { .. } | Call::AgentsReceive { .. } => {}
            Call::TimersNow | Call::TimersSleep { .. } | Call::TimersDeadline => {}
            Call::BudgetRemaining | Call::BudgetSplit | Call::LogEvent { .. } => {}
            Call::Context(_) | Call::HttpFetch { .. } | Call::Agents(_) | Call::Human(_) => {}
        }
    }

    fn human(&self, text: &mut String) {
        let lines: String = [("ask", self.asks), ("notify", self.notifies)]
            .iter()
            .filter(|(_, used)| *used)
            .map(|(key, _)| format!("{key} = true\n"))
            .collect();
        if !lines.is_empty() {
            text.push_str(&format!("\n[human]\n{lines}"));
        }
    }

    fn agents(&self, text: &mut String) {
        let lists = [("call", &self.called), ("send", &self.written_to), ("receive", &self.answered)];
        let lines = lists.iter().filter(|(_, names)| !names.is_empty()).map(|(key, names)| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            format!("{key} = {}\n", list(&names))
        });
        let lines: String = lines.collect();
        if !lines.is_empty() {
            text.push_str(&format!("\n[agents]\n{lines}"));
        }
    }

    fn rights(&self, text: &mut String, agent: &str, (approvals, marks): (&BTreeMap<String, String>, &Marks<'_>)) {
        if !self.models.is_empty() {
            let models: Vec<String> = self.models.iter().map(ToString::to_string).collect();
            text.push_str(&format!("\n[llm]\nmodels = {}\n", list(&models)));
            if self.tokens > 0 {
                text.push_str(&format!("max_tokens = {}\n", self.tokens));
            }
            if let Some(class) = self.class.filter(|class| *class != Class::System) {
                text.push_str(&format!("class = {}\n", quoted(class.word())));
            }
        }
        if !self.read.is_empty() || !self.write.is_empty() {
            text.push_str("\n[memory]\n");
            for (verb, names) in
                [("read", &self.read), ("write", &self.write)].iter().filter(|(_, names)| !names.is_empty())
            {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                text.push_str(&format!("{verb} = {}\n", list(&names)));
            }
            text.push_str(&marks.of_memory());
        }
        self.human(text);
        self.agents(text);
        self.roots(text, marks);
        for (count, (name, calls)) in self.tools.iter().enumerate() {
            let id = format!("{agent}/tool-{}", count + 1);
            text.push_str(&format!("\n[[allow]]\nid = {}\ntool = {}\n", quoted(&id), quoted(name)));
            arguments::write(text, calls);
            text.push_str(&marks.of_tool(name));
            text.push_str(approvals.get(*name).map_or("", String::as_str));
        }
        for (count, ((origin, method), paths)) in self.http.iter().enumerate() {
            let paths: Vec<String> = paths.iter().map(|path| pattern(path)).collect();
            let id = format!("{agent}/http-{}", count + 1);
            text.push_str(&format!(
                "\n[[http]]\nid = {}\nto = {}\nmethods = [{}]\npaths = {}\n",
                quoted(&id),
                quoted(origin),
                quoted(method),
                list(&paths)
            ));
            text.push_str(&marks.of_host(origin));
            text.push_str(approvals.get(origin).map_or("", String::as_str));
        }
        for (handle, origin) in &self.secrets {
            text.push_str(&format!("\n[[secrets]]\nhandle = {}\nonly_to = {}\n", quoted(handle), quoted(origin)));
        }
    }

    fn roots(&self, text: &mut String, marks: &Marks<'_>) {
        let roots: BTreeSet<&str> = self.files.keys().map(|(root, _)| *root).collect();
        for root in roots {
            let all: Vec<(&str, Path)> =
                self.files.iter().filter(|((of, _), _)| *of == root).map(|((_, path), used)| (*path, *used)).collect();
            let within = |(path, used): &(&str, Path)| {
                all.iter().any(|(other, more)| lies_below(path, other) && (more.written || !used.written))
            };
            let paths: Vec<(&str, Path)> = all.iter().filter(|entry| !within(entry)).copied().collect();
            let mut entries: Vec<(String, Path)> =
                paths.iter().map(|(path, used)| (format!("/{path}"), *used)).collect();
            if entries.len() > PATHS_MAX {
                let written = paths.iter().any(|(_, used)| used.written);
                let at = format!("/{}", directory(paths.iter().map(|(path, _)| *path)));
                entries = alloc::vec![(at, Path { written, found: true })];
            }
            for (at, used) in entries {
                let access = if used.written { "rw" } else { "r" };
                let absent = if used.found || used.written { "" } else { "    # was not there" };
                text.push_str(&format!(
                    "\n[[files]]\nroot = {}\nat = {}{absent}\naccess = \"{access}\"\n",
                    quoted(root),
                    quoted(&at)
                ));
                text.push_str(&marks.of_root(root));
            }
        }
    }
}

/// Labels that the grant of now gives to what is read: a learnt one that left them out would be wider.
struct Marks<'a>(Option<&'a Rights>);

impl Marks<'_> {
    fn of_memory(&self) -> String {
        line(self.0.and_then(|rights| rights.memory.as_ref()).map(|right| &right.labels))
    }

    fn of_root(&self, root: &str) -> String {
        let files = self.0.into_iter().flat_map(|rights| &rights.files);
        line(files.filter(|right| right.root == root).map(|right| &right.labels))
    }

    fn of_tool(&self, name: &str) -> String {
        let tools = self.0.into_iter().flat_map(|rights| &rights.tools);
        line(tools.filter(|right| name_fits(&right.tool, name)).map(|right| &right.extra.labels))
    }

    fn of_host(&self, origin: &str) -> String {
        let hosts = self.0.into_iter().flat_map(|rights| &rights.http);
        line(hosts.filter(|right| right.to.to_string() == origin).map(|right| &right.extra.labels))
    }
}

/// The line that gives these labels; nothing if there are none.
fn line<'a>(labels: impl IntoIterator<Item = &'a Labels>) -> String {
    let all = labels.into_iter().fold(Labels::NONE, |all, labels| all.and(labels));
    let names: Vec<String> = all.iter().map(ToString::to_string).collect();
    if names.is_empty() { String::new() } else { format!("labels = {}\n", list(&names)) }
}

/// The line that asks people, for each tool and host for which a rule of the grant did. What the site asks for, it asks for by itself.
fn approvals(suggestion: &Suggestion<'_>) -> BTreeMap<String, String> {
    let grant = suggestion.policy.and_then(|policy| policy.grants.iter().find(|grant| grant.agent == suggestion.agent));
    let of_site = |rule: &Rule| {
        suggestion.policy.is_some_and(|policy| policy.rules.iter().any(|of_site| of_site.rule.id == rule.id))
    };
    let mut lines = BTreeMap::new();
    for call in suggestion.runs.iter().flat_map(|run| &run.calls) {
        let Some(rule) = call.asked.as_ref().filter(|rule| !of_site(rule)) else { continue };
        let name = match &call.what {
            Call::ToolsCall { name, .. } => name.clone(),
            Call::Fetch(fetch) => match Url::parse(&fetch.url) {
                Ok(url) => Origin { scheme: url.scheme, host: url.name.into(), port: url.port }.to_string(),
                Err(_) => continue,
            },
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
            | Call::FilesRead(_)
            | Call::FilesWrite { .. }
            | Call::FilesStat(_)
            | Call::FilesList(_)
            | Call::FilesDelete(_)
            | Call::ToolsList
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
            | Call::AgentsReceive { .. } => continue,
        };
        let extras = grant.into_iter().flat_map(|grant| {
            let tools = grant.rights.tools.iter().map(|right| (&right.id, &right.extra));
            tools.chain(grant.rights.http.iter().map(|right| (&right.id, &right.extra)))
        });
        let required = extras.filter(|(id, _)| **id == rule.id).find_map(|(_, extra)| extra.approval.as_ref());
        let line = match required {
            Some(required) => {
                let Required { from, factor, quorum, ttl_ms, .. } = required;
                let (from, seconds) = (quoted(&from.to_string()), ttl_ms / 1000);
                format!(
                    "approval = {{ from = {from}, factor = \"{}\", quorum = {quorum}, ttl = \"{seconds}s\" }}\n",
                    factor.word()
                )
            }
            None => format!(
                "approval = {{ from = \"anyone\" }}    # rule {} asked people; it is not there any more\n",
                text::show(&rule.id)
            ),
        };
        lines.insert(name, line);
    }
    lines
}

/// A key of TOML, in quotes only where it needs them.
fn key(word: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !word.is_empty() && word.bytes().all(bare) { word.into() } else { quoted(word) }
}

/// Whether a path lies below another one of the same root, the root itself included.
fn lies_below(path: &str, other: &str) -> bool {
    match path.strip_prefix(other) {
        Some(rest) if other.is_empty() => !rest.is_empty(),
        Some(rest) => rest.starts_with('/'),
        None => false,
    }
}

/// The deepest directory that holds all these paths.
fn directory<'a>(paths: impl Iterator<Item = &'a str>) -> String {
    let mut common: Option<Vec<&str>> = None;
    for path in paths {
        let parts: Vec<&str> = path.split('/').collect();
        common = Some(match common {
            None => parts,
            Some(common) => common.iter().zip(&parts).take_while(|(a, b)| a == b).map(|(a, _)| *a).collect(),
        });
    }
    common.unwrap_or_default().join("/")
}

/// A path of an address as a pattern; one that no pattern can name is named by what holds it.
fn pattern(path: &str) -> String {
    match path.find('*') {
        None => path.into(),
        Some(star) => format!("{}/**", &path[..path[..star].rfind('/').unwrap_or(0)]),
    }
}

/// What any of the runs held at its peak: a call is admitted only if the most that it can take is there.
fn budget(text: &mut String, runs: &[Past]) {
    let most = |of: fn(&Past) -> &Amounts, what: Resource| runs.iter().map(|run| of(run)[what]).max().unwrap_or(0);
    let peak = |what| most(|run| &run.peak, what);
    let twice = |what| most(|run| &run.used, what).saturating_mul(2);
    let mut lines = String::new();
    let usd = peak(Resource::Usd);
    if usd > 0 {
        lines.push_str(&format!("usd_run = \"{}.{:06}\"\n", usd / 1_000_000, usd % 1_000_000));
    }
    let counts = [
        ("tokens_run", Resource::Tokens),
        ("llm_calls_run", Resource::LlmCalls),
        ("tool_calls_run", Resource::ToolCalls),
    ];
    for (key, what) in counts {
        if peak(what) > 0 {
            lines.push_str(&format!("{key} = {}\n", peak(what)));
        }
    }
    if twice(Resource::Fuel) > 0 {
        lines.push_str(&format!("fuel_run = {}    # twice what it used\n", twice(Resource::Fuel)));
    }
    if twice(Resource::WallTime) > 0 {
        let seconds = twice(Resource::WallTime).div_ceil(1000);
        lines.push_str(&format!("wall_run = \"{seconds}s\"    # twice what it used\n"));
    }
    if !lines.is_empty() {
        text.push_str(&format!(
            "\n# The most that one run held at a time. A day's limit is yours to choose.\n[budget]\n{lines}"
        ));
    }
}
