//! The README, done as a reader would do it: every fenced block marked `sh` is run, in order, in one directory; then the
//! agent that it shows is built, and the policy that it shows is checked.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::steps::{command, run as run_command};
use crate::workspace::{agentry, read, root, target};

/// Runs them all; the first that fails ends it.
pub fn run() -> Result<()> {
    let text = read("README.md")?;
    let scripts = blocks(&text, "sh");
    anyhow::ensure!(!scripts.is_empty(), "README.md shows no command");
    let place = target().join("readme");
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).context("cannot make a directory for the README's commands")?;
    let search = format!("{}:{}", target().join("debug").display(), std::env::var("PATH").context("there is no PATH")?);
    for script in scripts {
        // `cargo xtask …` is what runs us: those lines are proven by the run itself.
        let script: String =
            script.lines().filter(|line| !line.starts_with("cargo xtask")).map(|line| format!("{line}\n")).collect();
        eprintln!("$ {}", script.trim_end().replace('\n', "\n$ "));
        let mut shell = command("bash");
        shell.args(["-euo", "pipefail", "-c", &script]).current_dir(&place);
        shell.env("PATH", &search).env("AGENTRY_HOME", place.join("home")).env("REPO", root());
        if !shell.status().context("cannot run bash")?.success() {
            bail!("a command of README.md failed:\n{script}");
        }
    }
    shown(&text, &place)
}

/// Builds the agent of the README in the crate that its commands made, and checks its policy.
fn shown(text: &str, place: &Path) -> Result<()> {
    let agent = blocks(text, "rust").pop().context("README.md shows no agent")?;
    let policy = blocks(text, "toml").into_iter().next().context("README.md shows no policy")?;
    fs::write(place.join("greeter/src/lib.rs"), agent).context("the commands of README.md make no `greeter`")?;
    run_command(command(agentry()).arg("build").arg(place.join("greeter")))?;
    let file = place.join("50-greeter.toml");
    fs::write(&file, policy).context("cannot write the policy of README.md")?;
    run_command(command(agentry()).args(["policy", "check"]).arg(file))
}

/// The contents of the fenced blocks in this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info.trim() == language, String::new())),
            (Some(_), Some(_)) => {
                if let Some((true, block)) = open.take() {
                    found.push(block);
                }
            }
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_of_the_language_are_taken() {
        let text = "a\n```sh\none\ntwo\n```\n```toml\nx = 1\n```\n```sh\nthree\n```\n";
        assert_eq!(blocks(text, "sh"), ["one\ntwo\n", "three\n"]);
    }
}
