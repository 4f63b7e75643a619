//! The syscall table narrowed to what a manifest wants, for compilers that import their whole world.

use std::fs;
use std::path::Path;

use agentry_kernel::manifest::Wants;
use anyhow::{Context, Result};

use super::sdk;

/// Interfaces that every agent may use.
const FREE: [&str; 4] = ["types", "timers", "budget", "log"];

/// The world's name.
pub const NAME: &str = "agent";

const FILE: &str = "world.wit";

/// Writes the table with a world `agent` that imports only what is wanted.
pub fn write(wants: &Wants, directory: &Path) -> Result<()> {
    sdk::write_table(directory)?;
    let path = directory.join(FILE);
    fs::write(&path, narrow(sdk::world(), wants)).with_context(|| format!("cannot write {}", path.display()))
}

/// The same as names and texts.
pub fn files(wants: &Wants) -> Vec<(String, String)> {
    let table = sdk::table().into_iter();
    table.map(|(name, text)| if name == FILE { (name, narrow(&text, wants)) } else { (name, text) }).collect()
}

fn narrow(world: &str, wants: &Wants) -> String {
    let wanted: Vec<_> = wants.interfaces().collect();
    let keeps = |line: &&str| match line.trim().strip_prefix("import ").and_then(|rest| rest.strip_suffix(';')) {
        Some("tools") => wants.calls_tools(),
        Some(name) => FREE.contains(&name) || wanted.contains(&name),
        None => true,
    };
    let lines: Vec<&str> = world.lines().filter(keeps).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use agentry_kernel::manifest::WantsLlm;

    use super::*;

    #[test]
    fn a_narrowed_world_imports_what_is_wanted_and_what_is_free() {
        let llm = serde_json::from_str::<WantsLlm>(r#"{"models": ["*"], "why": "asks"}"#).expect("it asks for a model");
        let world = narrow(sdk::world(), &Wants { llm: Some(llm), ..Wants::default() });
        let imports: Vec<&str> = world.lines().filter_map(|line| line.trim().strip_prefix("import ")).collect();
        assert_eq!(imports, ["types;", "llm;", "timers;", "budget;", "log;"]);
        assert!(world.contains("export run"));
    }
}
