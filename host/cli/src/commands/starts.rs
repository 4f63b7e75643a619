//! What starts agents by itself and could only fail: an input that an agent does not take, be it written down or what the trigger itself gives. It
//! reads the home's files and runs nothing.

use agentry_config::policies;
use agentry_config::reader::Document;
use agentry_drivers::tools::schema::Schema;
use agentry_runtime::config::{AGENTS_FILE, AgentsConfig};
use agentry_runtime::triggers;
use anyhow::Result;
use serde_json::Value;

use crate::home::Home;
use crate::package;

/// A trigger whose run cannot begin.
pub struct Fault {
    /// The agent that it starts.
    pub agent: String,
    /// What is wrong, with its place in the list of agents, and below it what to do.
    pub told: String,
}

/// Holds each input of a trigger against what its agent says that it takes. An agent without a component or a schema is passed over: others say that.
pub fn faults(home: &Home) -> Result<Vec<Fault>> {
    let known = AgentsConfig::load(home.path())?;
    let mut faults = Vec::new();
    for agent in known.agents.iter().filter(|agent| !agent.start.is_empty()) {
        let Ok(package) = package::of_file_in(home.path(), &agent.component) else { continue };
        let Some(Ok(schema)) = package.manifest.input_schema.as_deref().map(Schema::new) else { continue };
        for (number, line) in agent.start.iter().enumerate() {
            let (input, key, name) = match &line.input {
                Some(input) => (serde_json::from_str::<Value>(input).ok(), ".input", "this input"),
                None => (triggers::example(&line.cause), "", "what this trigger gives it"),
            };
            let Some(Err(why)) = input.map(|input| schema.fits(&input, "the input")) else { continue };
            let file = home.path().join(AGENTS_FILE);
            let (path, text) = (file.display().to_string(), policies::text(&file)?);
            let document = Document { file: &path, text: &text };
            let at = document.place_of(&format!("agents.{}.start.{number}{key}", agent.name));
            let hint = match line.input {
                Some(_) => format!("`agentry run {} --help` shows what it takes", agent.name),
                None => format!("add an `input`; `agentry run {} --help` shows what it takes", agent.name),
            };
            let message = format!("agent `{}` does not take {name}: {why}", agent.name);
            faults.push(Fault { agent: agent.name.clone(), told: document.mistake(at, message, hint).to_string() });
        }
    }
    Ok(faults)
}
