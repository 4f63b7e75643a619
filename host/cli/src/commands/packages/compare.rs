//! What is other in a new version of a package: its key, what it asks for (with one call that would become possible), and whether it
//! would make the calls that the present one made. It decides which update may go by itself.

use std::fmt::Write as _;
use std::sync::Arc;

use agentry_config::policies::{PoliciesError, PolicyFiles};
use agentry_kernel::inquiry::{Diff, DiffVerdict, diff};
use agentry_kernel::manifest::Manifest;
use agentry_kernel::policy::Grant;
use agentry_packages::lock::{Lock, Release};
use agentry_packages::party::Voucher;
use agentry_packages::set::verified;
use anyhow::Result;
use serde_json::{Value, json};

use super::shadow::{self, Shadowed};
use super::{Candidate, words};
use crate::commands::policy;
use crate::home::Home;
use crate::package;
use crate::screen::{BAD, BOLD, GOOD, styled, text, units};

/// A new version beside the present one.
pub struct Compared {
    from: String,
    same_key: bool,
    /// Whether it is the newest that was ever here: a rollback left it.
    left: bool,
    diff: Diff,
    /// Interfaces that it asks for and the present one does not.
    asks_anew: Vec<&'static str>,
    shadowed: Vec<Shadowed>,
    /// How long it still cools off, as an update; none if a person only looks, and nothing of it is executed.
    cools_ms: Option<u64>,
}

impl Compared {
    /// Compares them. With `cools_ms`, which is how long it still cools off, recorded runs are executed again with the new one; without,
    /// nothing of it is executed.
    pub async fn of(
        home: &Home,
        (lock, now): (&Lock, &Release),
        candidate: &Candidate,
        cools_ms: Option<u64>,
    ) -> Result<Self> {
        let present = package::of_file(&verified(home.path(), now)?)?.manifest;
        let new = &candidate.package.manifest;
        let asks_anew = words::interfaces(new);
        let asked = words::interfaces(&present);
        let asks_anew = asks_anew.into_iter().filter(|name| !asked.contains(name)).collect();
        let diff = compared(home, &present, new)?;
        let shadowed = match cools_ms {
            Some(_) => shadow::of(home, now.digest.0, candidate).await?,
            None => Vec::new(),
        };
        let signed = candidate.signed.as_ref().map(|(voucher, _)| voucher.party());
        let same_key = signed.is_some() && signed == now.vouched.as_ref().map(Voucher::party);
        let left = lock.highest.get(&new.name) == Some(&new.seq);
        Ok(Self { from: now.version.clone(), same_key, left, diff, asks_anew, shadowed, cools_ms })
    }

    /// Whether it asks for more than the present version.
    pub fn is_wider(&self) -> bool {
        self.diff.verdict() == DiffVerdict::Wider || !self.asks_anew.is_empty()
    }

    /// Why a person is to say yes to it; none if it may go by itself.
    pub fn waits(&self) -> Option<String> {
        if !self.same_key {
            return Some("it is not signed by the key that signed the present version".to_owned());
        }
        if self.left {
            return Some("it was here, and a rollback left it".to_owned());
        }
        if self.is_wider() {
            return Some("it asks for more than the present version".to_owned());
        }
        if let Some(other) = self.shadowed.iter().find(|one| one.differs.is_some()) {
            return Some(format!("it would not have done what run {} did", other.run));
        }
        let Some(cools_ms) = self.cools_ms else {
            return Some(
                "an earlier version is installed, and `agentry update` alone holds a new one against what that did"
                    .to_owned(),
            );
        };
        (cools_ms > 0).then(|| format!("it cools off for {} more", units::duration(cools_ms)))
    }

    /// As it stands on a screen.
    pub(super) fn page(&self) -> String {
        let mut page = format!("\n{}\n", styled(BOLD, format!("beside version {}", text::line(&self.from))));
        if !self.same_key {
            let _ = writeln!(page, "  {}", styled(BAD, "signed by another key, or by none"));
        }
        if self.left {
            let _ = writeln!(page, "  {}", styled(BAD, "it was here, and a rollback left it"));
        }
        if !self.asks_anew.is_empty() {
            let _ = writeln!(page, "  {} {}", styled(BAD, "asks anew for"), self.asks_anew.join(", "));
        }
        for line in policy::diff_page(&self.diff).lines() {
            let _ = writeln!(page, "  {line}");
        }
        let (same, other): (Vec<_>, Vec<_>) = self.shadowed.iter().partition(|one| one.differs.is_none());
        if self.cools_ms.is_none() {
            page.push_str(
                "  nothing of it was executed: `agentry update --dry-run` holds it against what recorded runs did\n",
            );
        } else if self.shadowed.is_empty() {
            page.push_str("  no run of the present version is recorded here, so nothing could be compared\n");
        }
        if !same.is_empty() {
            let calls = same.iter().map(|one| u64::from(one.calls)).sum();
            let (runs, calls) = (units::plural(same.len() as u64, "recorded run"), units::plural(calls, "call"));
            let _ = writeln!(page, "  {} in {runs}, {calls}", styled(GOOD, "does the same"));
        }
        for one in other {
            let differs = one.differs.as_deref().unwrap_or_default();
            let _ = writeln!(
                page,
                "  {} run {} did: {}",
                styled(BAD, "does not do what"),
                one.run,
                text::cut(differs, 400)
            );
        }
        page
    }

    /// The same for other programs.
    pub fn as_json(&self) -> Value {
        let shadowed =
            self.shadowed.iter().map(|one| json!({"run": one.run, "calls": one.calls, "differs": one.differs}));
        json!({
            "from": self.from,
            "same_key": self.same_key,
            "left": self.left,
            "rights": policy::diff_as_json(&self.diff),
            "asks_anew": self.asks_anew,
            "shadow": shadowed.collect::<Vec<_>>(),
            "cools_ms": self.cools_ms,
            "waits": self.waits(),
        })
    }
}

/// What the one asks for beside the other, under the site's rules of this home.
fn compared(home: &Home, present: &Manifest, new: &Manifest) -> Result<Diff> {
    let directory = home.policies();
    let files = if directory.exists() { PolicyFiles::read(&directory)? } else { PolicyFiles::default() };
    let policy = files.parse().map_err(PoliciesError::Mistakes)?;
    let mut without = files;
    for grant in policy.grants.iter().chain(&policy.observed).filter(|grant| grant.agent == new.agent()) {
        without = without.with(&grant.rule.file, None);
    }
    let file = directory.join(format!("50-{}.toml", new.agent())).display().to_string();
    // Neither its version is a right, nor whose signature it has: another key stops by itself.
    let present = Manifest { version: new.version.clone(), ..present.clone() };
    let old = policy::scenario(home, &without.with(&file, Some(&Grant::draft(&present, None))))?;
    let under = without.with(&file, Some(&Grant::draft(new, None))).parse().map_err(PoliciesError::Mistakes)?;
    Ok(diff(&old, &old.under(Arc::new(under))))
}
