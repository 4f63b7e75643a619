//! Who says yes to a package: a person at the terminal, a person who has seen it and names what they saw, or what policy allowed before.
//! A yes is bound to the bytes and to the set of wishes, never to a name.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use agentry_packages::Fault;
use agentry_packages::lock::{By, consent, going_back};
use agentry_packages::statement::capabilities;
use anyhow::{Context, Result};

use super::{Candidate, Team};
use crate::screen::{self, BOLD, styled, text};

/// Hexadecimal digits by which a person names what they saw: 128 bits, so that nobody finds another package with the same.
const CODE_CHARS: usize = 32;

/// A longer line is no answer.
const LINE_MAX_BYTES: u64 = 4 * 1024;

/// How a yes is given without a terminal.
#[derive(clap::Args)]
pub struct ConsentArgs {
    /// Ask nothing: only what policy allows already is done
    #[arg(long)]
    yes: bool,
    /// Yes to exactly what was shown under this code; as often as there are packages
    #[arg(long, value_name = "CODE", conflicts_with = "yes")]
    consent: Vec<String>,
}

/// By what a yes to a package is named.
pub fn code(candidate: &Candidate) -> String {
    let yes = consent(candidate.package.digest, capabilities(&candidate.package.manifest));
    // Whoever goes back has seen that it is older than what was here.
    let whole = if candidate.older.is_some() { going_back(yes) } else { yes };
    whole.to_string().chars().take(CODE_CHARS).collect()
}

/// This command with a yes to each of these packages.
pub fn agreed(team: &Team, command: &str) -> String {
    let codes = team.members.iter().map(|member| format!(" --consent {}", code(&member.candidate)));
    format!("{command}{}", codes.collect::<String>())
}

impl ConsentArgs {
    /// Whether a person is to be asked.
    pub fn asks(&self) -> bool {
        !self.yes && self.consent.is_empty() && has_terminal()
    }

    /// Whose yes there is to one of these packages. `allowed` is what goes without a person's, or why it does not; `command` is this command
    /// without a yes.
    pub fn given(&self, candidate: &Candidate, allowed: Result<By, String>, team: &Team, command: &str) -> Result<By> {
        let what = candidate.story();
        let line = format!("look at it, then: {}", agreed(team, command));
        if self.consent.contains(&code(candidate)) {
            return Ok(By::Person);
        }
        if !self.consent.is_empty() {
            let which = if self.consent.len() == 1 { "the code is" } else { "the codes are" };
            let message = format!("{which} for something else than {what}, or than what it asks for");
            return Err(Fault::denied(message, line).into());
        }
        if self.yes {
            return allowed.map_err(|why| Fault::denied(format!("{what} waits for a person: {why}"), line).into());
        }
        if !has_terminal() {
            return Err(Fault::denied(format!("nobody is here who could say yes to {what}"), line).into());
        }
        if agrees(&format!("Install {what}?"))? {
            return Ok(By::Person);
        }
        Err(Fault::denied(format!("{what} is not installed: nobody said yes"), "nothing has changed").into())
    }
}

/// Whether an answer is a yes, in letters of either case.
fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.eq_ignore_ascii_case(yes))
}

fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether a person at the terminal says yes to one thing; an empty answer is a no.
pub(super) fn agrees(question: &str) -> Result<bool> {
    Ok(is_yes(&ask(&format!("{question} [y/N]"))?))
}

/// Asks a person at the terminal one thing; an empty line, or none, is an empty answer.
pub(super) fn ask(question: &str) -> Result<String> {
    screen::tell(&format!("{} ", styled(BOLD, text::line(question))));
    let _ = io::stderr().flush();
    let mut line = String::new();
    let mut stdin = io::stdin().lock().take(LINE_MAX_BYTES);
    stdin.read_line(&mut line).context("cannot read the answer\nhint: --consent CODE says yes without a terminal")?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn a_yes_is_typed_short_or_whole() {
        assert!(["y", "Y", "yes", "Yes", "YES"].into_iter().all(is_yes));
        assert!(!["", "n", "no", "ye", "yess", "y y", "ja"].into_iter().any(is_yes));
    }
}
