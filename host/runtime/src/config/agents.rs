//! `agents.toml`: the agents that this host knows by name. What each may do is policy's to say; nothing here grants anything.
//!
//! ```toml
//! format = 1
//!
//! [agents.calendar]                        # the name that its grant has, too
//! component = "agents/calendar.wasm"       # relative to the home; as if you said nothing, unless a package of this name is installed
//! start = [{ cron = "0 7 * * MON-FRI" }]   # what starts it while a host serves: see triggers.rs
//!
//! [webhooks]
//! listen = "127.0.0.1:8421"                # as if you said nothing; nobody listens without a webhook or [health]
//!
//! [health]                                 # /healthz, /readyz and /metrics at the same address
//! token = { file = "PATH" }                # whoever reads /metrics shows it; needed where others than this machine can
//! ```

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use agentry_config::reader::{Document, Table};
use agentry_config::secret::key;
use agentry_config::{ConfigError, policies};
use agentry_kernel::labels;
use agentry_packages::Fault;
use agentry_packages::keyring::Keyring;
use agentry_packages::lock::{self, Lock, Release};
use agentry_store::limits::AGENTS_MAX;

use super::triggers::{self, Cause, TriggerLine, WebhookKey};

/// The file's name in the home.
pub const AGENTS_FILE: &str = "agents.toml";

/// The version of the file.
const FORMAT: u64 = 1;

const AGENTS_FILE_KEYS: [&str; 4] = ["format", "agents", "webhooks", "health"];

const AGENT_KEYS: [&str; 2] = ["component", "start"];

/// What other programs call these, and what stands elsewhere.
const OTHERS: [(&[&str], &str); 3] = [
    (&["path", "file", "wasm", "package", "source"], "component = \"agents/NAME.wasm\""),
    (
        &["cron", "schedule", "letter", "memory", "directory", "webhook", "trigger", "triggers", "on"],
        "start = [{ cron = \"0 7 * * MON-FRI\" }]",
    ),
    (
        &["llm", "models", "tools", "files", "allow", "budget", "grant", "policy"],
        "it in its grant, in the policy directory",
    ),
];

const WEBHOOKS_KEYS: [&str; 1] = ["listen"];

const HEALTH_KEYS: [&str; 1] = ["token"];

/// The paths that [health] answers at.
const HEALTH_PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Where requests are listened for unless the admin says otherwise: from this machine alone.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8421);

/// The agents of a host, as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentsConfig {
    /// In the order of their names.
    pub agents: Vec<AgentLine>,
    /// What roots of installed agents stand for.
    pub roots: BTreeMap<String, PathBuf>,
    /// Where requests for webhooks are listened for, if there are any.
    pub listen: SocketAddr,
    /// Whether pages on the host's health are shown there.
    pub health: Option<HealthLine>,
}

/// That pages on the host's health are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthLine {
    /// What whoever reads the metrics must know.
    pub token: Option<WebhookKey>,
}

impl Default for AgentsConfig {
    fn default() -> Self {
        Self { agents: Vec::new(), roots: BTreeMap::new(), listen: LISTEN, health: None }
    }
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentLine {
    /// Its name in the policy.
    pub name: String,
    /// Its package.
    pub component: PathBuf,
    /// What starts it while a host serves.
    pub start: Vec<TriggerLine>,
}

impl AgentsConfig {
    /// Reads `agents.toml` in `home`, and which agents are installed there; without either no agent is known by name.
    ///
    /// # Errors
    /// If others may write it, or it cannot be read or understood; the error names the line.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        let file = home.join(AGENTS_FILE);
        let written = match std::fs::symlink_metadata(&file) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Self::default(),
            _ => Self::parse(&file.display().to_string(), &policies::text(&file)?, home)?,
        };
        let told = |why: Fault| ConfigError::Installed(why.to_string());
        let (lock, keyring) = (Lock::load(home).map_err(told)?, Keyring::load(home).map_err(told)?);
        Ok(written.with_installed(&lock, &keyring, home))
    }

    /// Agents that are installed, too, unless their key is revoked: of those that the file names, it says what starts them, and a
    /// component of theirs that it names stays.
    fn with_installed(mut self, lock: &Lock, keyring: &Keyring, home: &Path) -> Self {
        let good =
            |release: &Release| release.vouched.as_ref().is_none_or(|vouched| keyring.still_takes(vouched).is_ok());
        for (name, installed) in lock.agents.iter().filter(|(_, installed)| good(&installed.now)) {
            let component = lock::component(home, installed.now.digest.0);
            match self.agents.iter_mut().find(|line| line.name == *name) {
                Some(line) if line.component == default_component(home, name) => line.component = component,
                Some(_) => {}
                None => self.agents.push(AgentLine { name: name.clone(), component, start: Vec::new() }),
            }
        }
        self.agents.sort_by(|a, b| a.name.cmp(&b.name));
        self.roots = lock.all_roots();
        self
    }

    /// Reads the text of a list of agents that errors name `file`.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(file: &str, text: &str, home: &Path) -> Result<Self, ConfigError> {
        Document { file, text }.read(|root| Self::read(root, home))
    }

    fn read(root: &Table<'_>, home: &Path) -> Result<Self, ConfigError> {
        root.only(&AGENTS_FILE_KEYS)?;
        root.needs_format(FORMAT)?;
        let tables = root.tables("agents")?;
        if tables.len() > AGENTS_MAX {
            return Err(root.mistake_in("agents", format!("there are more than {AGENTS_MAX} agents"), "remove some"));
        }
        let agents = tables.into_iter().map(|(name, table)| agent(name, &table, home));
        let mut agents = agents.collect::<Result<Vec<_>, _>>()?;
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        let listen = listen(root)?;
        hooks(root, &agents, listen)?;
        let health = health(root, &agents, listen)?;
        Ok(Self { agents, roots: BTreeMap::new(), listen, health })
    }

    /// The agent of this name.
    pub fn get(&self, name: &str) -> Option<&AgentLine> {
        self.agents.binary_search_by(|agent| agent.name.as_str().cmp(name)).ok().map(|at| &self.agents[at])
    }
}

fn agent(name: &str, table: &Table<'_>, home: &Path) -> Result<AgentLine, ConfigError> {
    table.only_in_our_words(&AGENT_KEYS, &OTHERS)?;
    // An agent's name has the shape of a label.
    labels::check(name).map_err(|flaw| {
        table.mistake(format!("`{name}` cannot be an agent's name: it {flaw}"), "name it as its grant does")
    })?;
    let component = match table.text("component")? {
        Some(component) => home.join(component),
        None => default_component(home, name),
    };
    Ok(AgentLine { name: name.to_owned(), component, start: triggers::parse(table)? })
}

/// Where a component lies that nobody says anything of.
fn default_component(home: &Path, name: &str) -> PathBuf {
    home.join("agents").join(format!("{name}.wasm"))
}

fn listen(root: &Table<'_>) -> Result<SocketAddr, ConfigError> {
    let Some(table) = root.get_table("webhooks")? else { return Ok(LISTEN) };
    table.only(&WEBHOOKS_KEYS)?;
    let Some(listen) = table.text("listen")? else { return Ok(LISTEN) };
    listen.parse().map_err(|_| {
        table.mistake_in("listen", format!("`{listen}` is no address with a port"), "for example \"127.0.0.1:8421\"")
    })
}

fn health(root: &Table<'_>, agents: &[AgentLine], listen: SocketAddr) -> Result<Option<HealthLine>, ConfigError> {
    let Some(table) = root.get_table("health")? else { return Ok(None) };
    table.only(&HEALTH_KEYS)?;
    let token = key(&table, "token")?.map(WebhookKey);
    if token.is_none() && !listen.ip().is_loopback() {
        let message = "metrics can be read from elsewhere and ask for no token".to_owned();
        return Err(root.mistake_in("health", message, "add token = { file = \"PATH\" }, or listen on 127.0.0.1"));
    }
    for (line, at) in starts(root, agents)? {
        if let Cause::Webhook { path, .. } = &line.cause
            && HEALTH_PATHS.contains(&path.as_str())
        {
            let message = format!("webhook {path} and a page of [health] have the same path");
            return Err(at.mistake_in("webhook", message, "name the webhook otherwise"));
        }
    }
    Ok(Some(HealthLine { token }))
}

/// Every trigger of these agents with its table, in the order of the file.
fn starts<'a, 'b>(root: &Table<'a>, agents: &'b [AgentLine]) -> Result<Vec<(&'b TriggerLine, Table<'a>)>, ConfigError> {
    let mut starts = Vec::new();
    for (name, table) in root.tables("agents")? {
        let lines = agents.iter().filter(|agent| agent.name == name).flat_map(|agent| &agent.start);
        starts.extend(lines.zip(table.list_of_tables("start")?));
    }
    Ok(starts)
}

/// Each path is one hook's, and what others can reach asks for a secret.
fn hooks(root: &Table<'_>, agents: &[AgentLine], listen: SocketAddr) -> Result<(), ConfigError> {
    let mut paths = std::collections::BTreeSet::new();
    for (name, table) in root.tables("agents")? {
        let lines = agents.iter().filter(|agent| agent.name == name).flat_map(|agent| &agent.start);
        let mut stories = std::collections::BTreeSet::new();
        for (line, at) in lines.zip(table.list_of_tables("start")?) {
            let story = line.cause.story();
            if !stories.insert(story.clone()) {
                return Err(at.mistake(format!("{name} has {story} twice"), "leave one of them out"));
            }
        }
    }
    for (line, at) in starts(root, agents)? {
        let Cause::Webhook { path, secret } = &line.cause else { continue };
        if !paths.insert(path) {
            return Err(at.mistake_in("webhook", format!("webhook {path} stands there twice"), "name one otherwise"));
        }
        if secret.is_none() && !listen.ip().is_loopback() {
            let message = format!("webhook {path} can be reached from elsewhere and asks for no secret");
            return Err(root.mistake_in(
                "webhooks",
                message,
                "add secret = { file = \"PATH\" }, or listen on 127.0.0.1",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AgentsConfig, String> {
        AgentsConfig::parse("agents.toml", text, Path::new("/place")).map_err(|error| error.to_string())
    }

    #[test]
    fn agents_have_the_names_of_their_grants_and_a_component_each() {
        let known = parse("format = 1\n[agents.mail]\n[agents.calendar]\ncomponent = \"c.wasm\"\n").unwrap();
        assert_eq!(known.get("calendar").map(|agent| agent.component.clone()), Some("/place/c.wasm".into()));
        assert_eq!(known.get("mail").map(|agent| agent.component.clone()), Some("/place/agents/mail.wasm".into()));
        assert_eq!(known.get("nobody"), None);
    }

    #[test]
    fn what_is_installed_is_known_by_name_and_started_as_the_list_says_unless_its_key_is_revoked() {
        use agentry_kernel::time::Millis;
        use agentry_packages::keyring::Revoked;
        use agentry_packages::lock::{By, Consent, Hex};

        let home = Path::new("/place");
        let key: agentry_packages::key::PublicKey = format!("ed25519:{}", "0a".repeat(32)).parse().unwrap();
        let hex = |byte| Hex(agentry_kernel::Digest([byte; 32]));
        let (mut lock, mut keyring) = (Lock::default(), Keyring::default());
        for (byte, agent) in [(1, "calendar"), (2, "mail"), (3, "notes")] {
            let release = Release {
                name: format!("acme:{agent}"),
                version: "1.0.0".to_owned(),
                digest: hex(byte),
                seq: 1,
                vouched: (agent == "notes").then(|| key.into()),
                capabilities: hex(0),
                consent: Consent { by: By::Person, at: Millis(1), to: hex(0) },
                index: None,
                provides: None,
                requires: vec![],
                grant: None,
                roots: None,
            };
            lock.put(agent, release);
        }
        let text =
            "format = 1\n[agents.calendar]\nstart = [{ letter = true }]\n[agents.mail]\ncomponent = \"own.wasm\"\n";
        let written = parse(text).unwrap();
        let known = written.clone().with_installed(&lock, &keyring, home);
        let of =
            |known: &AgentsConfig, name: &str| known.get(name).map(|line| (line.component.clone(), line.start.len()));
        let at = |byte| lock::component(home, hex(byte).0);
        assert_eq!(of(&known, "calendar"), Some((at(1), 1)));
        assert_eq!(of(&known, "mail"), Some(("/place/own.wasm".into(), 0)));
        assert_eq!(of(&known, "notes"), Some((at(3), 0)));
        keyring.revoked.insert(key, Revoked { since: Millis(1), because: String::new() });
        assert_eq!(of(&written.with_installed(&lock, &keyring, home), "notes"), None);
    }

    #[test]
    fn a_mistake_in_the_list_of_agents_has_its_line_and_a_remedy() {
        let start = |start: &str| parse(&format!("format = 1\n[agents.calendar]\nstart = [{start}]"));
        let cases = [
            (parse(""), "the file has another format"),
            (parse("format = 2"), "the file has another format"),
            (parse("format = 1\nagent = {}"), "unknown key `agent`"),
            (parse("format = 1\n[agents.calendar]\ncomponnt = \"c.wasm\""), "did you mean `component`?"),
            (parse("format = 1\n[agents.calendar]\ncomponent = 3"), "`component` is not a text"),
            (parse("format = 1\n[agents.Calendar]\n"), "cannot be an agent's name"),
            (parse("format = 1\n[agents\n"), "not TOML"),
            (parse("format = 1\n[webhooks]\nlisten = \"here\""), "no address with a port"),
            (start("3"), "is not a list of tables"),
            (start("{}"), "a start has one of"),
            (start("{ cron = \"* * * * *\", memory = \"a\" }"), "a start has one of"),
            (start("{ cron = \"0 7 * *\" }"), "is no time: it has 4 fields"),
            (start("{ letter = false }"), "`letter` is true or is left out"),
            (start("{ webhook = \"hook\" }"), "`hook` is no path"),
            (start("{ webhook = \"/a\", input = {} }"), "the body of its request"),
            (start("{ webhook = \"/a\" }, { webhook = \"/a\" }"), "has webhook /a twice"),
            (start("{ letter = true }, { letter = true }"), "has letter twice"),
            (start("{ directory = \"/tmp/inbox\" }"), "`/tmp/inbox` is no name of a root"),
            (start("{ memory = \"a/../b\" }"), "no memory is called `a/../b`"),
            (parse("format = 1\n[health]\ntokn = 1"), "did you mean `token`?"),
            (parse("format = 1\n[webhooks]\nlisten = \"0.0.0.0:1\"\n[health]\n"), "ask for no token"),
            (parse("format = 1\n[health]\n[agents.a]\nstart = [{ webhook = \"/metrics\" }]"), "have the same path"),
            (start("{ memory = \"a\", secret = { env = \"A\" } }"), "only a request has a secret"),
            (start("{ memory = \"a\", per_minute = 0 }"), "`per_minute` is out of range"),
            (start("{ memory = \"a\", labels = [\"No\"] }"), "cannot be a label"),
            (start("{ memory = \"a\", input = 2026-01-01 }"), "`input` is no JSON"),
        ];
        for (case, what) in cases {
            let told = case.unwrap_err();
            assert!(told.contains(what) && told.contains("\nhint: ") && told.contains("agents.toml:"), "{told}");
        }
        // Each stands where the second one does.
        let hooks = |second: &str| {
            parse(&format!(
                "format = 1\n[agents.a]\nstart = [\n{{ webhook = \"/x\" }},\n{{ webhook = \"/y\" }} ]\n[agents.b]\nstart = [\n{second}]\n[health]\n"
            ))
        };
        for (second, what) in
            [("{ webhook = \"/x\" }", "stands there twice"), ("{ webhook = \"/metrics\" }", "have the same path")]
        {
            let told = hooks(second).unwrap_err();
            assert!(told.contains("agents.toml:8:13") && told.contains(what), "{told}");
        }
        let open = "format = 1\n[webhooks]\nlisten = \"0.0.0.0:1\"\n[agents.a]\nstart = [{ webhook = \"/a\" }]";
        assert!(parse(open).unwrap_err().contains("asks for no secret"));
    }

    #[test]
    fn what_starts_an_agent_is_read_with_its_input_labels_and_rate() {
        let text = "format = 1\n[agents.a]\nstart = [{ cron = \"0 7 * * *\", input = { n = 1, of = [\"x\", true] }, per_minute = 2 }, \
                    { webhook = \"/a\", secret = { env = \"A\" } }, { directory = \"in\", labels = [] }]";
        let start = parse(text).unwrap().agents.remove(0).start;
        assert_eq!((start[0].input.as_deref(), start[0].per_minute), (Some("{\"n\":1,\"of\":[\"x\",true]}"), 2));
        assert!(start[0].labels.is_empty() && start[1].labels.has("untrusted") && start[2].labels.is_empty());
    }
}
