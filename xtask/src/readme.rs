//! README and `docs/`, done as a reader would do them: of each page every block marked `sh` is run, in order, by one shell that begins in an
//! empty directory with an empty home; blocks with a file's name are saved as that file, where the shell then stands. A block of TOML without a
//! name is read by the command that reads such files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::steps::{command, run as run_command};
use crate::workspace::{agentry, read, root, target};

/// The pages, in the order in which one reads them.
const PAGES: [&str; 7] = [
    "README.md",
    "docs/first-hour.md",
    "docs/agent.md",
    "docs/policy.md",
    "docs/serve.md",
    "docs/operate.md",
    "docs/packages.md",
];

/// A fenced block: its language, the file that it is, and what stands in it.
#[derive(Debug, PartialEq, Eq)]
struct Block<'a> {
    language: &'a str,
    file: Option<&'a str>,
    text: String,
}

/// Does them all; the first that fails ends it.
pub fn run() -> Result<()> {
    for page in PAGES {
        let place = target().join("readme").join(page.replace('/', "-"));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).with_context(|| format!("cannot make a directory for {page}"))?;
        followed(page, &read(page)?, &place).with_context(|| format!("{page} does not do what it says"))?;
    }
    Ok(())
}

/// Does one page.
fn followed(page: &str, text: &str, place: &Path) -> Result<()> {
    let blocks = blocks(text);
    for block in &blocks {
        match (block.language, block.file) {
            // An unnamed agent is one that the crate `greeter` or `agent` could be; it has to compile.
            ("toml", None) => toml(&block.text, place)?,
            ("rust", None) => compiles(&block.text, place)?,
            _ => {}
        }
    }
    let script = script(&blocks);
    if script.is_empty() {
        return Ok(());
    }
    eprintln!("following {page}");
    let search = format!("{}:{}", target().join("debug").display(), std::env::var("PATH").context("there is no PATH")?);
    let mut shell = command("bash");
    shell.args(["-xeuo", "pipefail", "-c", &script]).current_dir(place);
    shell.env("PATH", &search).env("AGENTRY_HOME", place.join("agentry-home")).env("REPO", root());
    if !shell.status().context("cannot run bash")?.success() {
        bail!("the last command above failed");
    }
    Ok(())
}

/// One script of all that is run and saved.
fn script(blocks: &[Block<'_>]) -> String {
    let mut script = String::new();
    for block in blocks {
        match (block.language, block.file) {
            ("sh", None) => {
                // Building Agentry itself is what this run rests on: those lines are proven by it.
                let lines = block.text.lines().filter(|line| !line.starts_with("cargo "));
                lines.for_each(|line| script.push_str(&format!("{line}\n")));
            }
            (_, Some(file)) => {
                let save = format!(
                    "mkdir -p \"$(dirname '{file}')\"\ncat > '{file}' <<'END OF FILE'\n{}END OF FILE\n",
                    block.text
                );
                script.push_str(&save);
            }
            _ => {}
        }
    }
    script
}

/// Reads TOML by the command that reads such a file.
fn toml(text: &str, place: &Path) -> Result<()> {
    let home = place.join("snippet");
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(home.join("policies")).context("cannot make a home for a snippet")?;
    let has = |word: &str| text.lines().any(|line| line.trim_start().starts_with(word));
    let format = if has("format = ") { "" } else { "format = 1\n" };
    let save = |file: &str| fs::write(home.join(file), format!("{format}{text}")).context("cannot write a snippet");
    let mut reads = command(agentry());
    if has("layer = ") {
        save("policies/50-snippet.toml")?;
        reads.args(["policy", "check", "--policies"]).arg(home.join("policies"));
    } else if has("[tools.") {
        save("tools.toml")?;
        reads.arg("tools");
    } else if has("[agents.") || has("[health]") {
        save("agents.toml")?;
        reads.arg("agents");
    } else if has("[indexes.") || has("[cosign]") {
        save("packages.toml")?;
        reads.arg("list");
    } else if has("name = ") && has("[wants") || has("[[wants") {
        fs::write(home.join("agent.toml"), text).context("cannot write a snippet")?;
        reads.arg("build").arg(&home).arg("--world").arg(home.join("wit"));
        return run_command(&mut reads);
    } else if ["[models.", "[providers.", "[secrets.", "[audit]", "[idle]", "[engine]", "[hosts]", "[retention]"]
        .iter()
        .any(|word| has(word))
    {
        save("agentry.toml")?;
        reads.arg("models");
    } else {
        bail!("nobody reads this block:\n{text}");
    }
    run_command(reads.arg("--home").arg(&home))
}

/// Builds an agent in a crate that `agentry new` makes.
fn compiles(text: &str, place: &Path) -> Result<()> {
    let directory = place.join("snippet-agent");
    let _ = fs::remove_dir_all(&directory);
    run_command(command(agentry()).args(["new", "snippet", "--dir"]).arg(&directory))?;
    fs::write(directory.join("src/lib.rs"), text).context("cannot write a snippet")?;
    run_command(command(agentry()).arg("build").arg(&directory))
}

/// All fenced blocks, in order.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                let mut words = info.split_whitespace();
                let (language, file) = (words.next().unwrap_or_default(), words.next());
                found.push(Block { language, file, text: String::new() });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                if let Some(block) = found.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
            (None, false) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_a_language_and_perhaps_a_file() {
        let text = "a\n```sh\none\n```\n```toml x/y.toml\nx = 1\n```\n```\nshown\n```\n";
        let found: Vec<_> = blocks(text).into_iter().map(|block| (block.language, block.file, block.text)).collect();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            found,
            [("sh", None, text("one\n")), ("toml", Some("x/y.toml"), text("x = 1\n")), ("", None, text("shown\n"))]
        );
    }

    #[test]
    fn what_is_run_and_what_is_saved_stands_in_one_script_in_order() {
        let page = "```sh\ncargo xtask demo\ncd a\n```\n```toml b/c.toml\nx = 1\n```\n```console\n$ not run\n```\n```sh\nls\n```\n";
        let saved = "mkdir -p \"$(dirname 'b/c.toml')\"\ncat > 'b/c.toml' <<'END OF FILE'\nx = 1\nEND OF FILE\n";
        assert_eq!(script(&blocks(page)), format!("cd a\n{saved}ls\n"));
    }
}
