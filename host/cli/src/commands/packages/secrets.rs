//! Which secrets of a home a package is given of those that it asks for: as a person said with the command, as its grant gave them before, or as
//! a person at the terminal is asked now, one by one. It reads no secret: it looks at who may get which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use agentry_drivers::secrets::config::SecretLine;
use agentry_kernel::manifest::WantsSecret;
use agentry_kernel::policy::Grant;
use agentry_packages::Fault;
use agentry_runtime::config::{CONFIG_FILE, Config};
use anyhow::Result;

use super::consent::agrees;
use super::effect::Effect;
use super::{Candidate, Change, Effects, Team};
use crate::screen::{self, text};

/// The secrets of a home, by their names and by who may get them.
pub struct Held {
    file: PathBuf,
    lines: Vec<SecretLine>,
}

impl Held {
    /// Those of this home.
    pub fn of(home: &Path) -> Result<Self> {
        Ok(Self { file: home.join(CONFIG_FILE), lines: Config::load(home)?.secrets })
    }

    /// Whether there is this one, for whom it is to go to.
    pub fn has(&self, want: &WantsSecret) -> bool {
        let origin = want.origin().map(|origin| origin.to_string());
        origin.is_some_and(|origin| self.line(&want.handle).is_some_and(|line| line.is_for(&origin)))
    }

    /// What an admin writes so that there are all of these.
    pub fn remedy(&self, lacking: &[&WantsSecret]) -> String {
        let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for want in lacking {
            let origin = want.origin().map(|origin| origin.to_string());
            wanted.entry(&want.handle).or_default().extend(origin);
        }
        let mut lines = String::new();
        if !self.file.exists() {
            lines.push_str("\nformat = 1\n");
        }
        for (handle, origins) in wanted {
            let there = self.line(handle);
            let mut only_to: Vec<String> =
                there.iter().flat_map(|line| &line.only_to).map(|audience| format!("\"{audience}\"")).collect();
            only_to.extend(origins.iter().map(|origin| format!("\"{origin}\"")));
            let (mark, value) = match there {
                Some(_) => ("    # it is there: this line of it becomes", String::new()),
                None => ("", format!("value = {{ env = \"{}\" }}    # or {{ file = \"PATH\" }}\n", variable(handle))),
            };
            lines.push_str(&format!("\n[secrets.{handle}]{mark}\n{value}only_to = [{}]\n", only_to.join(", ")));
        }
        format!("if it may have that, write into {}, then say the same again:\n{lines}", self.file.display())
    }

    fn line(&self, handle: &str) -> Option<&SecretLine> {
        self.lines.iter().find(|line| line.handle == handle)
    }
}

/// A variable that could hold a secret of this name.
fn variable(handle: &str) -> String {
    handle.replace('-', "_").to_ascii_uppercase()
}

/// The secrets that a person named with a command, as words of it.
pub fn given_secrets(secrets: &[String]) -> String {
    secrets.iter().map(|handle| format!(" --secret {}", text::word(handle))).collect()
}

/// Those that these packages cannot do without and nobody has named yet, as words of the command that names them.
pub fn lacking(team: &Team, effects: &Effects, given: &[String]) -> String {
    let mut lacking = BTreeSet::new();
    for (candidate, effect) in each(team, effects).filter(|(_, effect)| effect.grant.is_some()) {
        let needed = candidate.package.manifest.wants.secrets.iter().filter(|want| !want.optional);
        let unnamed = needed.filter(|want| !given.contains(&want.handle) && !effect.gives(want));
        lacking.extend(unnamed.map(|want| want.handle.clone()));
    }
    given_secrets(&Vec::from_iter(lacking))
}

/// Whether each secret that a person named is one that somebody asks for, and that can be given by installing it.
pub fn are_asked_for(change: &Change<'_>, effects: &Effects) -> Result<()> {
    for handle in change.secrets {
        let mut is_asked_for = false;
        for (candidate, effect) in each(change.team, effects) {
            let named = candidate.package.manifest.wants.secrets.iter().filter(|want| want.handle == *handle);
            for want in named {
                is_asked_for = true;
                if effect.grant.is_none() && !effect.gives(want) {
                    let message =
                        format!("the grant of `{}` does not give it the secret `{handle}`", candidate.agent());
                    let hint = format!(
                        "a grant that is in force is its admin's: add to {}, at its end, [[secrets]] with handle = \"{handle}\", only_to = \"{}\" and a why",
                        effect.file, want.only_to
                    );
                    return Err(Fault::denied(message, text::line(&hint)).into());
                }
            }
        }
        if !is_asked_for {
            let hint = "what it asks for stands above; --secret HANDLE names one of these";
            return Err(Fault::usage(format!("it asks for no secret `{}`", text::line(handle)), hint).into());
        }
    }
    Ok(())
}

/// Whether the home has each that one of them cannot do without, or that a person named.
pub fn are_here(change: &Change<'_>, effects: &Effects, held: &Held) -> Result<()> {
    for (candidate, _) in each(change.team, effects).filter(|(_, effect)| effect.grant.is_some()) {
        let wanted = candidate.package.manifest.wants.secrets.iter();
        let needed = wanted.filter(|want| !want.optional || change.secrets.contains(&want.handle));
        let lacking: Vec<_> = needed.filter(|want| !held.has(want)).collect();
        if !lacking.is_empty() {
            let named: Vec<String> = lacking.iter().map(|want| told(want)).collect();
            let message =
                format!("{} asks for what this home has not: {}", candidate.story(), text::cut(&named.join(", "), 400));
            return Err(Fault::denied(message, held.remedy(&lacking)).into());
        }
    }
    Ok(())
}

/// The grant of a package with the secrets that it is given; none if the one that is in force stays.
pub fn granted(
    change: &Change<'_>,
    command: &str,
    candidate: &Candidate,
    effect: &Effect,
    held: &Held,
) -> Result<Option<String>> {
    if effect.grant.is_none() {
        return Ok(None);
    }
    let mut manifest = candidate.package.manifest.clone();
    let mut given = Vec::new();
    for want in std::mem::take(&mut manifest.wants.secrets) {
        if is_given(change, command, candidate, (effect, held), &want)? {
            given.push(want);
        }
    }
    manifest.wants.secrets = given;
    Ok(Some(Grant::draft(&manifest, candidate.signer())))
}

/// Whether it gets this one.
fn is_given(
    change: &Change<'_>,
    command: &str,
    candidate: &Candidate,
    (effect, held): (&Effect, &Held),
    want: &WantsSecret,
) -> Result<bool> {
    if want.optional && !held.has(want) {
        let left = format!("{} goes without {}, which this home has not", candidate.story(), told(want));
        screen::warn(&format!("{left}\nhint: {}", held.remedy(&[want])));
        return Ok(false);
    }
    if change.secrets.contains(&want.handle) || effect.gives(want) {
        return Ok(true);
    }
    if !change.consent.asks() {
        let message = || format!("nobody says whether {} may have {}", candidate.story(), told(want));
        return if want.optional { Ok(false) } else { Err(Fault::usage(message(), command).into()) };
    }
    let (handle, to) = (text::line(&want.handle), text::line(&want.only_to));
    if agrees(&format!("May it send the secret `{handle}` of this home to {to}?"))? {
        return Ok(true);
    }
    if want.optional {
        return Ok(false);
    }
    let message =
        format!("{} is not installed: nobody said yes to {}, and it needs that", candidate.story(), told(want));
    Err(Fault::denied(message, "nothing has changed").into())
}

/// A secret in a sentence.
fn told(want: &WantsSecret) -> String {
    format!("the secret `{}` for {}", text::line(&want.handle), text::line(&want.only_to))
}

/// Each package, and what it would change.
fn each<'t>(team: &'t Team, effects: &'t Effects) -> impl Iterator<Item = (&'t Candidate, &'t Effect)> {
    team.members.iter().map(|member| &member.candidate).zip(&effects.each)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(handle: &str, only_to: &str) -> WantsSecret {
        WantsSecret { handle: handle.to_owned(), only_to: only_to.to_owned(), why: "w".to_owned(), optional: false }
    }

    #[test]
    fn what_a_home_lacks_is_told_as_lines_that_give_it() {
        let place = tempfile::tempdir().expect("a directory");
        let (crm, mail) = (want("crm", "https://api.example.org:443"), want("mail-key", "http://127.0.0.1:8080"));
        let remedy = |held: &Held| held.remedy(&[&crm, &mail]);
        let lines = remedy(&Held::of(place.path()).expect("nothing is configured"));
        let toml = |text: &str| text.split_once(":\n").expect("lines").1.to_owned();
        std::fs::write(place.path().join(CONFIG_FILE), toml(&lines)).expect("a file");
        let held = Held::of(place.path()).expect("the lines are what a home reads");
        assert!(held.has(&crm) && held.has(&mail), "{lines}");
        let other = want("crm", "https://api.example.com");
        assert!(!held.has(&other) && !held.has(&want("other", "https://api.example.org")));
        let told = held.remedy(&[&other]);
        assert!(told.contains("only_to = [\"https://api.example.org\", \"https://api.example.com\"]"), "{told}");
        assert!(!told.contains("value =") && !told.contains("format"), "{told}");
    }
}
