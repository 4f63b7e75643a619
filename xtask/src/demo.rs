//! A stranger's agent at work, and refused: what a first visitor watches.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::guests;
use crate::steps::{command, shown};
use crate::workspace::{agentry, root, target};

/// What the researcher is asked.
const QUESTION: &str = r#"{"question": "Who is commander in chief of the army and navy?", "report": "report"}"#;

/// Said once, before the first build, because it lasts.
const FIRST_BUILD: &str = "\
A first time this builds Agentry from its sources: some 350 crates, among them wasmtime with its compiler and the runtime of a small
language model. On two cores that takes several minutes; after that, seconds. Then it builds the agent, fetches the model (100 MB) and
plays five scenes.
";

/// Builds what is needed and plays the scenes.
pub fn run() -> Result<()> {
    if !agentry().exists() {
        eprintln!("{FIRST_BUILD}");
    }
    guests::host()?;
    let component = guests::example("researcher")?;
    let stage = Stage::set(component)?;
    stage.play("a stranger's agent: what does it want, and why? (this runs none of it)", &mut stage.inspect(), 0)?;
    stage.play("the model in this process: no key, no server", &mut stage.fetch(), 0)?;
    stage.play("a policy grants what an admin chose, and the agent works", &mut stage.work(), 0)?;
    println!("\n{}", fs::read_to_string(stage.reports.join("report.md")).unwrap_or_default());
    stage.play("every syscall of that run: when, allowed or not, at what cost", &mut stage.trace(), 0)?;
    stage.narrow()?;
    stage.play("the same agent under a policy that does not grant the model", &mut stage.overreach(), 3)?;
    println!("\nthe policy of the first run: {}", shown_path(&root().join("policies")));
    Ok(())
}

struct Stage {
    component: PathBuf,
    home: PathBuf,
    /// Beside the home: no agent is given a directory that holds one, or lies in one.
    reports: PathBuf,
}

impl Stage {
    fn set(component: PathBuf) -> Result<Self> {
        let (home, reports) = (target().join("demo"), target().join("demo-reports"));
        for directory in [&home, &reports] {
            fs::create_dir_all(directory).context("cannot make the demo's home")?;
        }
        Ok(Self { component, home, reports })
    }

    fn inspect(&self) -> Command {
        let mut inspect = command(agentry());
        inspect.arg("inspect").arg(&self.component);
        inspect
    }

    fn fetch(&self) -> Command {
        let mut models = command(agentry());
        models.args(["models", "--fetch", "--home"]).arg(&self.home);
        models
    }

    fn work(&self) -> Command {
        self.ask(&root().join("policies"))
    }

    fn overreach(&self) -> Command {
        self.ask(&self.home.join("narrow"))
    }

    fn trace(&self) -> Command {
        let mut trace = command(agentry());
        trace.args(["trace", "last", "--home"]).arg(&self.home);
        trace
    }

    fn ask(&self, policies: &Path) -> Command {
        let mut ask = command(agentry());
        ask.arg("run").arg(&self.component).args(["--input", QUESTION]).arg("--policies").arg(policies);
        ask.arg("--home").arg(&self.home);
        let corpus = root().join("example-agents/researcher/corpus");
        for (name, directory) in [("documents", corpus), ("reports", self.reports.clone())] {
            ask.arg("--root").arg(format!("{name}={}", directory.display()));
        }
        ask
    }

    /// Writes the researcher's policy again, without its model.
    fn narrow(&self) -> Result<()> {
        let policy = fs::read_to_string(root().join("policies/50-researcher.toml")).context("the policy is gone")?;
        let without: String =
            policy.lines().filter(|line| !line.starts_with("llm = ")).map(|line| format!("{line}\n")).collect();
        ensure!(without.len() < policy.len(), "the researcher's policy grants no model, so nothing can be taken away");
        let directory = self.home.join("narrow");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("50-researcher.toml"), without).context("cannot write the narrower policy")
    }

    fn play(&self, what: &str, command: &mut Command, expected: i32) -> Result<()> {
        println!("\n── {what}\n$ {}", shown(command));
        let status = command.status().context("cannot run agentry")?;
        ensure!(status.code() == Some(expected), "that ended with {status}, not with {expected}");
        Ok(())
    }
}

fn shown_path(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
