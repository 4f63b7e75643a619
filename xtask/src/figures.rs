//! Runs what stands behind the numbers in the documents: each figure is printed beside its limit. It judges none of them.

use anyhow::{Result, bail};

use crate::steps::{cargo, run as run_command};
use crate::{guests, workspace};

/// The binaries that measure, in `benches/`, and what each says.
const SUBJECTS: [(&str, &str); 15] = [
    ("gate", "what the gate adds to a host call"),
    ("decide", "finding rules, whole decisions, comparing policies"),
    ("run", "an instance, and a whole durable run"),
    ("journal", "journaled calls beside a raw log"),
    ("resume", "a run of ten thousand entries, resumed"),
    ("llm", "what is added to a model call, and calls a second"),
    ("idle", "runs that left memory: disk, memory, opening, waking"),
    ("dense", "runs that wait in memory, dense"),
    ("embedded", "the model in the process"),
    ("isolation", "guests in the host's process and in workers"),
    ("hostile", "a good agent and people beside two hundred hostile runs"),
    ("listing", "a home of many runs: lists, filters, a long trace"),
    ("orders", "a crowd that orders short runs"),
    ("dist", "what people install: size, first syscall, an index of ten thousand"),
    ("startup", "the command from exec to its end, and an idle host"),
];

/// Those that start the command itself: `AGENTRY_BIN`, or one that is built as they are.
const OF_THE_COMMAND: [&str; 6] = ["dist", "hostile", "isolation", "listing", "orders", "startup"];

/// Ours as in a release, dependencies at the level that the tests have them at, and each crate optimised across its units.
const PROFILE: [&str; 8] = [
    "--profile",
    "dev",
    "--config",
    "profile.dev.opt-level=3",
    "--config",
    "profile.dev.debug-assertions=false",
    "--config",
    "profile.dev.lto=false",
];

/// Measures one subject, or all; `more` goes to what measures, such as how many runs.
pub fn run(subject: Option<&str>, more: &[String]) -> Result<()> {
    let chosen: Vec<&str> = match subject {
        None => SUBJECTS.iter().map(|(name, _)| *name).collect(),
        Some(subject) => match SUBJECTS.iter().find(|(name, _)| *name == subject) {
            Some((name, _)) => vec![name],
            None => bail!("nothing measures `{subject}`; there is:\n{}", listed()),
        },
    };
    if !guests::test_guests().is_dir() || !workspace::agentry().is_file() {
        guests::all()?;
    }
    for name in chosen {
        let mut bench = cargo();
        if OF_THE_COMMAND.contains(&name) && std::env::var_os("AGENTRY_BIN").is_none() {
            run_command(cargo().args(["build", "--quiet", "--workspace", "--bin", "agentry"]).args(PROFILE))?;
            bench.env("AGENTRY_BIN", workspace::agentry());
        }
        bench.args(["bench", "--quiet", "--workspace"]).args(PROFILE).args(["--bench", name]);
        if !more.is_empty() {
            bench.arg("--").args(more);
        }
        run_command(&mut bench)?;
    }
    Ok(())
}

fn listed() -> String {
    SUBJECTS.iter().map(|(name, what)| format!("  {name:10} {what}\n")).collect()
}
