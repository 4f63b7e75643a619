//! `agents.toml`: the agents that this host knows by name. What each may do is policy's to say; nothing here grants anything.
//!
//! ```toml
//! format = 1
//!
//! [agents.calendar]                        # the name that its grant has, too
//! component = "agents/calendar.wasm"       # relative to the home; as if you said nothing
//! ```

use std::path::{Path, PathBuf};

use agentry_kernel::labels;
use toml::de::DeTable;

use super::ConfigError;
use super::reader::{Document, Table};
use crate::limits::AGENTS_MAX;
use crate::policies;

/// The file's name in the home.
pub const AGENTS_FILE: &str = "agents.toml";

/// The version of the file.
const FORMAT: u64 = 1;

const AGENTS_FILE_KEYS: [&str; 2] = ["format", "agents"];

const AGENT_KEYS: [&str; 1] = ["component"];

/// The agents of a host, as they were written.
#[derive(Clone, Debug, Default)]
pub struct AgentsConfig {
    /// In the order of their names.
    pub agents: Vec<AgentLine>,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentLine {
    /// Its name in the policy.
    pub name: String,
    /// Its package.
    pub component: PathBuf,
}

impl AgentsConfig {
    /// Reads `agents.toml` in `home`; without one no agent is known by name.
    ///
    /// # Errors
    /// If others may write it, or it cannot be read or understood; the error names the line.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        let file = home.join(AGENTS_FILE);
        match std::fs::symlink_metadata(&file) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            _ => Self::parse(&file.display().to_string(), &policies::text(&file)?, home),
        }
    }

    /// Reads the text of a list of agents that errors name `file`.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(file: &str, text: &str, home: &Path) -> Result<Self, ConfigError> {
        let document = Document { file, text };
        let parsed = DeTable::parse(text).map_err(|why| {
            let at = why.span().map_or(0, |span| span.start);
            let hint = "see the example in the documentation of `agents.toml`";
            document.mistake(at, format!("not TOML: {}", why.message()), hint)
        })?;
        let root = document.table(&parsed);
        root.only(&AGENTS_FILE_KEYS)?;
        if root.number("format", 0..u64::MAX)? != Some(FORMAT) {
            let message = "the file has another format, or does not say which";
            return Err(root.mistake_in("format", message, "write format = 1"));
        }
        let tables = root.tables("agents")?;
        if tables.len() > AGENTS_MAX {
            return Err(root.mistake_in("agents", format!("there are more than {AGENTS_MAX} agents"), "remove some"));
        }
        let agents = tables.into_iter().map(|(name, table)| agent(name, &table, home));
        let mut agents = agents.collect::<Result<Vec<_>, _>>()?;
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { agents })
    }

    /// The agent of this name.
    pub fn get(&self, name: &str) -> Option<&AgentLine> {
        self.agents.binary_search_by(|agent| agent.name.as_str().cmp(name)).ok().map(|at| &self.agents[at])
    }
}

fn agent(name: &str, table: &Table<'_>, home: &Path) -> Result<AgentLine, ConfigError> {
    table.only(&AGENT_KEYS)?;
    // An agent's name has the shape of a label.
    labels::check(name).map_err(|flaw| {
        table.mistake(format!("`{name}` cannot be an agent's name: it {flaw}"), "name it as its grant does")
    })?;
    let component = match table.text("component")? {
        Some(component) => home.join(component),
        None => home.join("agents").join(format!("{name}.wasm")),
    };
    Ok(AgentLine { name: name.to_owned(), component })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AgentsConfig, String> {
        AgentsConfig::parse("agents.toml", text, Path::new("/home")).map_err(|error| error.to_string())
    }

    #[test]
    fn agents_have_the_names_of_their_grants_and_a_component_each() {
        let known = parse("format = 1\n[agents.mail]\n[agents.calendar]\ncomponent = \"c.wasm\"\n").unwrap();
        assert_eq!(known.get("calendar").map(|agent| agent.component.clone()), Some("/home/c.wasm".into()));
        assert_eq!(known.get("mail").map(|agent| agent.component.clone()), Some("/home/agents/mail.wasm".into()));
        assert_eq!(known.get("nobody"), None);
    }

    #[test]
    fn a_mistake_in_the_list_of_agents_has_its_line_and_a_remedy() {
        let cases = [
            parse(""),
            parse("format = 2"),
            parse("format = 1\nagent = {}"),
            parse("format = 1\n[agents.calendar]\ncomponnt = \"c.wasm\""),
            parse("format = 1\n[agents.calendar]\ncomponent = 3"),
            parse("format = 1\n[agents.Calendar]\n"),
        ];
        let all: Vec<_> = cases.into_iter().map(|case| case.unwrap_err().replace("\nhint: ", " | ")).collect();
        expect_test::expect![[r#"
            agents.toml:1: the file has another format, or does not say which | write format = 1
            agents.toml:1: the file has another format, or does not say which | write format = 1
            agents.toml:2: unknown key `agent` in the file | did you mean `agents`?
            agents.toml:3: unknown key `componnt` in [agents.calendar] | did you mean `component`?
            agents.toml:3: `component` is not a text | write component = "…"
            agents.toml:2: `Calendar` cannot be an agent's name: it may have lowercase letters, digits and `-` only | name it as its grant does"#]]
        .assert_eq(&all.join("\n"));
    }
}
