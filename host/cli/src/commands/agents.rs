//! `agentry agents`: the agents that this home knows by name, what each provides and whether a policy grants it anything. It runs none.

use std::process::ExitCode;

use agentry_config::policies;
use agentry_kernel::manifest::Manifest;
use agentry_kernel::policy::Policy;
use agentry_packages::signers::Signers;
use agentry_runtime::config::{AgentLine, AgentsConfig};
use anyhow::Result;
use serde_json::{Value, json};

use super::starts;
use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::package;
use crate::screen::table::{Table, left};
use crate::screen::{self, DIM, styled, text};

/// Lists the agents of this home: those that lie there, and those that others can call by name
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry agents
  agentry agents --json

Those that others can call and write to stand in agents.toml of the home:
  format = 1
  [agents.calendar]
  component = \"agents/calendar.wasm\"")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// An agent, and what is wrong with it if something is.
struct Known {
    line: AgentLine,
    manifest: Result<Manifest, String>,
    granted: bool,
    /// Whether others can call and write to it: it stands in agents.toml.
    called: bool,
    /// Triggers of it that could only fail.
    faults: Vec<String>,
}

/// Lists them.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let mut known = AgentsConfig::load(home.path())?.agents;
    let listed: Vec<String> = known.iter().map(|line| line.name.clone()).collect();
    // `run` finds these by name, too.
    known.extend(home.agents().into_iter().filter(|name| !listed.contains(name)).map(|name| AgentLine {
        component: home.path().join("agents").join(format!("{name}.wasm")),
        name,
        start: Vec::new(),
    }));
    known.sort_by(|a, b| a.name.cmp(&b.name));
    // Without a policy nothing is granted to anybody.
    let (policy, signers) = (policies::load(&home.policies()).ok(), Signers::at(home.path()));
    let mut agents: Vec<_> =
        known.into_iter().map(|line| look_at(&home, line, (policy.as_ref(), &signers), &listed)).collect();
    for fault in starts::faults(&home)? {
        agents
            .iter_mut()
            .filter(|agent| agent.line.name == fault.agent)
            .for_each(|agent| agent.faults.push(fault.told.clone()));
    }
    if args.json {
        screen::print_json(&agents.iter().map(as_json).collect::<Vec<_>>())?;
    } else if agents.is_empty() {
        screen::tell("no agents: `agentry agents --help` shows a first agents.toml\n");
    } else {
        screen::page(&table(&agents))?;
    }
    Ok(Exit::Done.into())
}

fn look_at(home: &Home, line: AgentLine, (policy, signers): (Option<&Policy>, &Signers), listed: &[String]) -> Known {
    let read = package::of_file_in(home.path(), &line.component);
    let signer = read.as_ref().ok().and_then(|package| signers.of(package.digest));
    let manifest = read.map(|package| package.manifest).map_err(|error| error.to_string());
    let manifest = manifest.and_then(|manifest| match manifest.agent() {
        named if named == line.name => Ok(manifest),
        named => Err(format!("its package is of agent `{named}`\nhint: name it so")),
    });
    let granted = match (&manifest, policy) {
        (Ok(manifest), Some(policy)) => policy.grant(&line.name, manifest, signer).is_some(),
        _ => false,
    };
    let called = listed.contains(&line.name);
    Known { line, manifest, granted, called, faults: Vec::new() }
}

fn table(agents: &[Known]) -> String {
    let columns = [left("agent"), left("package").goes(2), left("granted"), left("provides").goes(1)];
    let mut table = Table::new(columns);
    for Known { line, manifest, granted, faults, .. } in agents {
        let (package, provides) = match manifest {
            Ok(manifest) => (format!("{}@{}", manifest.name, manifest.version), manifest.provides.join(", ")),
            Err(_) => ("?".to_owned(), String::new()),
        };
        let cells = [
            text::cut(&line.name, 24).into(),
            text::cut(&package, 40).into(),
            if *granted { "yes" } else { "no" }.into(),
            text::cut(&provides, 40).into(),
        ];
        let faults: String = faults.iter().map(|fault| screen::trouble(fault)).collect();
        table.row(cells, below(manifest) + &faults);
    }
    table.show(screen::fold::columns())
}

/// What it is, or what is wrong with it.
fn below(manifest: &Result<Manifest, String>) -> String {
    match manifest {
        Ok(manifest) if manifest.description.is_empty() => String::new(),
        Ok(manifest) => format!("  {}\n", styled(DIM, text::cut(&manifest.description, 100))),
        Err(trouble) => screen::trouble(trouble),
    }
}

fn as_json(Known { line, manifest, granted, called, faults }: &Known) -> Value {
    let good = manifest.as_ref().ok();
    json!({
        "name": line.name,
        "component": line.component.display().to_string(),
        "package": good.map(|manifest| format!("{}@{}", manifest.name, manifest.version)),
        "provides": good.map(|manifest| manifest.provides.clone()).unwrap_or_default(),
        "description": good.map(|manifest| manifest.description.clone()).unwrap_or_default(),
        "granted": granted,
        "called_by_others": called,
        "trouble": manifest.as_ref().err().or(faults.first()),
    })
}
