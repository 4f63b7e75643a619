//! What the folders are that a package asks for: as a person said with the command, as before, or as a person at the terminal is asked now,
//! one by one and until the answer is a folder. It makes none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use agentry_drivers::files::is_apart;
use agentry_kernel::manifest::Manifest;
use agentry_packages::Fault;
use agentry_packages::lock::Lock;
use anyhow::{Context, Result};

use super::consent::ask;
use super::{Change, Team};
use crate::home::typed;
use crate::screen::{self, text};

/// Answers to one question before it is given up: whoever never names a folder is no person.
const ANSWERS_MAX: usize = 10;

/// The folders of one package: as a person says, as it was before, as for another package of the same go (`folders`), or as a person is asked.
pub fn of(
    change: &Change<'_>,
    command: &str,
    manifest: &Manifest,
    lock: &Lock,
    folders: &mut BTreeMap<String, PathBuf>,
) -> Result<BTreeMap<String, PathBuf>> {
    let agent = manifest.agent();
    let mut roots = BTreeMap::new();
    for wants in &manifest.wants.files {
        let root = &wants.root;
        let said = change.roots.iter().find(|(name, _)| name == root).map(|(_, directory)| directory.clone());
        let before = || lock.roots.get(agent).and_then(|roots| roots.get(root)).cloned();
        let is = |directory: &Path| whole(change.home.path(), root, directory, agent, lock);
        let given = match said.or_else(before).or_else(|| folders.get(root).cloned()) {
            Some(directory) => Some(is(&directory)?),
            None if change.consent.asks() => asked(root, wants.optional, is)?,
            None => None,
        };
        match given {
            Some(directory) => {
                folders.insert(root.clone(), directory.clone());
                roots.insert(root.clone(), directory);
            }
            None if wants.optional => {}
            None => {
                return Err(Fault::usage(format!("nobody says which folder `{root}` is to be"), command).into());
            }
        }
    }
    Ok(roots)
}

/// The folders that a person named with a command, as words of it.
pub fn given_roots(roots: &[(String, PathBuf)]) -> String {
    let words = roots.iter().map(|(root, directory)| format!(" --root {root}={}", text::word(directory.display())));
    words.collect()
}

/// Those that these packages cannot do without and nobody has named yet, as words of the command that names them.
pub fn lacking(team: &Team, lock: &Lock, given: &[(String, PathBuf)]) -> String {
    let mut lacking = BTreeSet::new();
    for manifest in team.members.iter().map(|member| &member.candidate.package.manifest) {
        let before = lock.roots.get(manifest.agent());
        let is_known = |root: &String| {
            given.iter().any(|(name, _)| name == root) || before.is_some_and(|roots| roots.contains_key(root))
        };
        let needed = manifest.wants.files.iter().filter(|wants| !wants.optional).map(|wants| &wants.root);
        lacking.extend(needed.filter(|root| !is_known(root)));
    }
    lacking.iter().map(|root| format!(" --root {root}=DIR")).collect()
}

/// What a person answers; none is the empty answer. A wrong one is told, and asked again.
fn asked(root: &str, optional: bool, is: impl Fn(&Path) -> Result<PathBuf>) -> Result<Option<PathBuf>> {
    let none = if optional { " [none]" } else { "" };
    for _ in 1..ANSWERS_MAX {
        let answer = ask(&format!("Which folder is `{root}` to be?{none}"))?;
        if answer.is_empty() {
            return Ok(None);
        }
        match is(&typed(&answer)) {
            Ok(directory) => return Ok(Some(directory)),
            Err(error) => screen::complain(&error),
        }
    }
    Ok(None)
}

/// A directory that is there, by its whole path, and the one that other agents have by this name too.
pub fn whole(home: &Path, root: &str, directory: &Path, agent: &str, lock: &Lock) -> Result<PathBuf> {
    let shown = text::line(&directory.display().to_string());
    let whole = directory.canonicalize().with_context(|| {
        format!("`{root}` cannot be {shown}\nhint: make the folder first: mkdir -p {}", text::word(directory.display()))
    })?;
    if whole.to_str().is_none() {
        return Err(Fault::usage(format!("{shown} is no text"), "name a folder whose path is UTF-8").into());
    }
    if !is_apart(&whole, home).unwrap_or(false) {
        let message = format!("{shown} contains the home of agents, or lies in it");
        return Err(Fault::usage(message, format!("name a folder that has nothing of it: --root {root}=DIR")).into());
    }
    if !whole.is_dir() {
        return Err(Fault::usage(format!("{shown} is no folder"), format!("name one: --root {root}=DIR")).into());
    }
    let others = lock.roots.iter().filter(|(other, _)| *other != agent);
    let other = others.filter_map(|(other, roots)| Some((other, roots.get(root)?))).find(|(_, other)| **other != whole);
    match other {
        None => Ok(whole),
        Some((other, is)) => {
            let message = format!("`{root}` is {} here, for `{other}`", text::line(&is.display().to_string()));
            let hint = "one name is one folder for all agents: change the grant to another name, or name that folder";
            Err(Fault::denied(message, hint).into())
        }
    }
}
