//! What a package needs beside it: another one by its name, or whatever provides a word, in versions that fit. It finds nothing.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::rights::shapes;
use crate::text;

/// A line of a manifest: one of `package` and `provides`, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// `publisher:name`, perhaps with `@` and which versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What it is to provide, perhaps with `@` and which versions of whatever provides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provides: Option<String>,
    /// What for.
    pub why: String,
}

/// What must be there. As text: `acme:calendar@^1.2`, or `calendar` for whatever provides that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// This package.
    Package {
        /// `publisher:name`
        name: String,
        /// Any that is finished if none.
        version: Option<VersionReq>,
    },
    /// Whatever provides this.
    Provides {
        /// A word that `provides` of a manifest has.
        word: String,
        /// Of the package that provides it; any that is finished if none.
        version: Option<VersionReq>,
    },
}

impl Requires {
    /// What it says.
    ///
    /// # Errors
    /// What is wrong, to be put behind the name of the key.
    pub fn requirement(&self) -> Result<Requirement, String> {
        let (said, named) = match (&self.package, &self.provides) {
            (Some(package), None) => (package, true),
            (None, Some(word)) => (word, false),
            _ => return Err("has one of `package` and `provides`".into()),
        };
        let requirement: Requirement = said.parse()?;
        match (&requirement, named) {
            (Requirement::Package { .. }, true) | (Requirement::Provides { .. }, false) => Ok(requirement),
            (Requirement::Provides { .. }, true) => Err(format!("is written `publisher:name`: `{}`", text::show(said))),
            (Requirement::Package { .. }, false) => Err(format!("is one word, not a package: `{}`", text::show(said))),
        }
    }
}

impl Requirement {
    /// Whether a package of this name and version, which provides these, is what is required.
    pub fn is_met_by(&self, name: &str, version: &str, provides: &[String]) -> bool {
        let (fits, wanted) = match self {
            Self::Package { name: wanted, version } => (wanted == name, version),
            Self::Provides { word, version } => (provides.contains(word), version),
        };
        let version = |wanted: Option<&VersionReq>| {
            let version = Version::parse(version).ok();
            version.is_some_and(|is| wanted.map_or(is.pre.is_empty(), |wanted| wanted.matches(&is)))
        };
        fits && version(wanted.as_ref())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Package { name: what, version } | Self::Provides { word: what, version }) = self;
        match version {
            Some(version) => write!(f, "{what}@{version}"),
            None => f.write_str(what),
        }
    }
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(said: &str) -> Result<Self, String> {
        let (what, version) = match said.split_once('@') {
            Some((what, version)) => (what, Some(version)),
            None => (said, None),
        };
        let version = version.map(VersionReq::parse).transpose();
        let version = version.map_err(|error| format!("has no versions: {}", text::show(&error.to_string())))?;
        let shape = if what.contains(':') { shapes::package(what) } else { text::label(what) };
        shape.map_err(|flaw| format!("{flaw}: `{}`", text::show(what)))?;
        Ok(match what.contains(':') {
            true => Self::Package { name: what.into(), version },
            false => Self::Provides { word: what.into(), version },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requires(package: Option<&str>, provides: Option<&str>) -> Result<Requirement, String> {
        Requires { package: package.map(Into::into), provides: provides.map(Into::into), why: "x".into() }.requirement()
    }

    #[test]
    fn a_package_or_a_word_is_required_in_versions_that_fit() {
        let words = ["calendar".to_string()];
        let met = |said: &str, version: &str| {
            let requirement: Requirement = said.parse().unwrap();
            assert_eq!(requirement.to_string().parse(), Ok(requirement.clone()), "it comes back");
            requirement.is_met_by("blue:days", version, &words)
        };
        for said in ["blue:days", "calendar", "blue:days@^1.2", "calendar@>=1, <3"] {
            assert!(met(said, "1.2.0"), "{said}");
        }
        for (said, version) in [
            ("blue:days@^1.2", "1.1.9"),
            ("blue:days", "2.0.0-rc.1"),
            ("calendar", "2.0.0-rc.1"),
            ("calendar@^2", "1.2.0"),
            ("red:days", "1.2.0"),
            ("mail", "1.2.0"),
        ] {
            assert!(!met(said, version), "{said} {version}");
        }
    }

    #[test]
    fn what_is_no_requirement_is_refused_with_what_is_wrong() {
        for (package, provides, part) in [
            (None, None, "has one of"),
            (Some("a:b"), Some("c"), "has one of"),
            (Some("calendar"), None, "is written `publisher:name`"),
            (None, Some("a:b"), "is one word"),
            (Some("a:B"), None, "lowercase"),
            (None, Some("two words"), "lowercase"),
            (None, Some(""), "is empty"),
            (Some("a:b@latest"), None, "has no versions"),
            (None, Some("c@"), "has no versions"),
        ] {
            let told = requires(package, provides).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
    }
}
