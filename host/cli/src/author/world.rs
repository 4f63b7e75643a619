//! The syscall table narrowed to what a manifest wants, for compilers that import their whole world.

use std::fs;
use std::path::Path;

use agentry_kernel::manifest::Wants;
use anyhow::{Context, Result};

use super::sdk;

/// Interfaces that every agent may use.
const FREE: [&str; 4] = ["types", "timers", "budget", "log"];

/// Writes the table with a world `agent` that imports only what is wanted.
pub fn write(wants: &Wants, directory: &Path) -> Result<()> {
    sdk::write_table(directory)?;
    let path = directory.join("world.wit");
    fs::write(&path, narrow(sdk::world(), wants)).with_context(|| format!("cannot write {}", path.display()))
}

fn narrow(world: &str, wants: &Wants) -> String {
    let wanted = wanted(wants);
    let keeps = |line: &&str| match line.trim().strip_prefix("import ").and_then(|rest| rest.strip_suffix(';')) {
        Some(name) => FREE.contains(&name) || wanted.contains(&name),
        None => true,
    };
    let lines: Vec<&str> = world.lines().filter(keeps).collect();
    lines.join("\n") + "\n"
}

fn wanted(wants: &Wants) -> Vec<&'static str> {
    let all = [
        ("llm", wants.llm.is_some()),
        ("context", wants.context.is_some()),
        ("memory", wants.memory.is_some()),
        ("tools", !wants.tools.is_empty()),
        ("files", !wants.files.is_empty()),
        ("http", wants.http.is_some()),
        ("agents", wants.agents.is_some()),
        ("human", wants.human.is_some()),
    ];
    all.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use agentry_kernel::manifest::WantsLlm;

    use super::*;

    #[test]
    fn a_narrowed_world_imports_what_is_wanted_and_what_is_free() {
        let llm =
            WantsLlm { models: vec!["*".into()], max_tokens: None, class: None, why: "asks".into(), optional: false };
        let world = narrow(sdk::world(), &Wants { llm: Some(llm), ..Wants::default() });
        let imports: Vec<&str> = world.lines().filter_map(|line| line.trim().strip_prefix("import ")).collect();
        assert_eq!(imports, ["types;", "llm;", "timers;", "budget;", "log;"]);
        assert!(world.contains("export run"));
    }
}
