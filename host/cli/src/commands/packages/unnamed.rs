//! What somebody meant who left the publisher out of a package's name: what is installed or listed by the rest of it, or lies here as a file. It
//! must never choose one: a name without a publisher is anybody's.

use std::collections::BTreeSet;
use std::path::Path;

use agentry_kernel::labels;
use agentry_kernel::text::nearest;
use agentry_packages::Fault;
use agentry_packages::lock::Lock;
use anyhow::Result;

use super::{Indexes, Wanted, listed};
use crate::home::Home;
use crate::screen::text;

/// So many packages of one name are told; where there are more, the search has them all.
const TOLD_MAX: usize = 3;

/// What is said of it: with the names that could be meant if it lacks nothing but its publisher, else as it was.
pub async fn told(home: &Home, wanted: &Wanted, lock: &Lock, fault: Fault) -> Fault {
    let (agent, version) = match wanted.package.split_once('@') {
        Some((agent, version)) => (agent, format!("@{version}")),
        None => (wanted.package.as_str(), String::new()),
    };
    if labels::check(agent).is_err() {
        return fault;
    }
    // An index that cannot be read says so to whoever asks it for something.
    let names = names(home, wanted, lock).await.unwrap_or_else(|_| installed(lock).collect());
    Fault { hint: hint(agent, &version, &names).unwrap_or_else(|| elsewhere(agent)), ..fault }
}

/// What is there: installed, or listed and not taken back.
async fn names(home: &Home, wanted: &Wanted, lock: &Lock) -> Result<BTreeSet<String>> {
    let indexes = Indexes::of(home, wanted.index.as_deref())?;
    let all = listed(&indexes.read(home).await?).await?;
    let names = all.into_iter().filter(|one| one.listing.yanked.is_none()).map(|one| one.listing.name);
    Ok(names.chain(installed(lock)).collect())
}

fn installed(lock: &Lock) -> impl Iterator<Item = String> {
    lock.agents.values().map(|one| one.now.name.clone())
}

/// The names of this agent, or of the one that is spelt nearly so.
fn hint(agent: &str, version: &str, names: &BTreeSet<String>) -> Option<String> {
    let parts = || names.iter().filter_map(|name| Some((name.split_once(':')?.1, name)));
    let near = nearest(agent, parts().map(|(agent, _)| agent))?;
    let meant: Vec<String> = parts()
        .filter(|(agent, _)| *agent == near)
        .map(|(_, name)| format!("`{}{version}`", text::line(name)))
        .collect();
    Some(match meant.as_slice() {
        [one] => format!("did you mean {one}?"),
        some if some.len() <= TOLD_MAX => format!("did you mean {}?", some.join(" or ")),
        some => format!("{} publishers have one: `agentry search {near}` lists them", some.len()),
    })
}

/// Nothing that is known has the name.
fn elsewhere(agent: &str) -> String {
    let file = format!("{agent}.wasm");
    if Path::new(&file).is_file() {
        return format!("did you mean the file here? ./{file}");
    }
    format!("a package is publisher:name, such as acme:{agent}; `agentry search {agent}` lists what there is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_of_the_name_is_told_and_none_is_chosen() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let two: BTreeSet<String> = names(&["acme:keeper", "blue:keeper", "acme:other"]);
        for (agent, version, told) in [
            ("keeper", "", Some("did you mean `acme:keeper` or `blue:keeper`?")),
            ("kepeer", "@1.2", Some("did you mean `acme:keeper@1.2` or `blue:keeper@1.2`?")),
            ("other", "", Some("did you mean `acme:other`?")),
            ("nobody", "", None),
        ] {
            assert_eq!(hint(agent, version, &two).as_deref(), told);
        }
        let many = names(&["a:x", "b:x", "c:x", "d:x"]);
        assert_eq!(hint("x", "", &many).as_deref(), Some("4 publishers have one: `agentry search x` lists them"));
    }
}
