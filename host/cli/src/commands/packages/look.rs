//! A look at a package that a person gave: for `info`, which shows it, and for `install`, which asks then.

use std::path::PathBuf;

use agentry_packages::keyring::Keyring;
use agentry_packages::lock::Lock;
use anyhow::{Context, Result};

use super::{Beside, Candidate, Team, Wanted, given_roots, given_secrets};
use crate::home::Home;
use crate::screen::text;

/// A package that was looked at, with all that it requires, beside what is installed.
pub struct Looked {
    /// What they are.
    pub team: Team,
    /// What is installed.
    pub lock: Lock,
    /// Why what it requires is not to be had; it stands alone then.
    pub lacks: Option<anyhow::Error>,
}

/// Fetches what a person gave, and what that requires, and holds it against all that this home knows; nothing is changed.
pub fn look(home: &Home, wanted: &Wanted, with: &[String]) -> Result<Looked> {
    let (lock, keyring) = (Lock::load(home.path())?, Keyring::load(home.path())?);
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    threads.block_on(async {
        let candidate = Candidate::of(home, wanted, &lock, &keyring).await?;
        // Whoever looks, and whoever installs, executes nothing of it.
        let (team, lacks) = match Team::of(home, candidate.clone(), with, (&lock, &keyring), Beside::Looked).await {
            Ok(team) => (team, None),
            Err(error) => (Team::alone(home, candidate, &lock).await?, Some(error)),
        };
        Ok(Looked { team, lock, lacks })
    })
}

/// The command that was given, without a yes.
pub fn command(wanted: &Wanted, with: &[String], roots: &[(String, PathBuf)], secrets: &[String]) -> String {
    let mut command = format!("agentry install {}", text::word(&wanted.package));
    for (option, given) in [("--digest", &wanted.digest), ("--index", &wanted.index)] {
        if let Some(given) = given {
            command.push_str(&format!(" {option} {}", text::word(given)));
        }
    }
    with.iter().for_each(|one| command.push_str(&format!(" --with {}", text::word(one))));
    command.push_str(&given_roots(roots));
    command.push_str(&given_secrets(secrets));
    command
}
