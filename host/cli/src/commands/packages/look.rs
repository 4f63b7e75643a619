//! A look at a package that a person gave: for `info`, which shows it, and for `install`, which asks then.

use agentry_packages::keyring::Keyring;
use agentry_packages::lock::Lock;
use anyhow::{Context, Result};

use super::{Candidate, Compared, Wanted, Way};
use crate::home::Home;
use crate::screen::text;

/// A package that was looked at, beside what is installed.
pub struct Looked {
    /// What it is.
    pub candidate: Candidate,
    /// It beside what is installed, if an earlier version is.
    pub compared: Option<Compared>,
    /// What is installed.
    pub lock: Lock,
}

/// Fetches what a person gave and holds it against all that this home knows; nothing is changed.
pub fn look(home: &Home, wanted: &Wanted) -> Result<Looked> {
    let (lock, keyring) = (Lock::load(home.path())?, Keyring::load(home.path())?);
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    threads.block_on(async {
        let candidate = Candidate::of(home, Way::Wanted(wanted), &lock, &keyring).await?;
        let candidate = candidate.context("nothing of this name is listed")?;
        let now = lock.agents.get(candidate.agent()).map(|installed| &installed.now);
        let now =
            now.filter(|now| now.name == candidate.package.manifest.name && now.digest.0 != candidate.package.digest);
        // Whoever looks, and whoever installs, executes nothing of it.
        let compared = match now {
            Some(now) => Some(Compared::of(home, now, &candidate, None).await?),
            None => None,
        };
        Ok(Looked { candidate, compared, lock })
    })
}

/// The command that was given, without a yes.
pub fn command(wanted: &Wanted) -> String {
    let mut command = format!("agentry install {}", text::line(&wanted.package));
    for (option, given) in [("--digest", &wanted.digest), ("--index", &wanted.index)] {
        if let Some(given) = given {
            command.push_str(&format!(" {option} {}", text::line(given)));
        }
    }
    command
}
