//! Secrets of a home that a package asks to have put into its requests: each by its name, for one host. A manifest holds none, and gives none.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::WantsHttp;
use crate::rights::shapes;
use crate::rights::{Origin, SecretRight};
use crate::text::TextFlaw;
use crate::within;

/// It wants a secret of the home to be sent to one host with a request. It sees none of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantsSecret {
    /// What the home calls it: `[secrets.HANDLE]` of `agentry.toml`.
    pub handle: String,
    /// The only one who gets it: `https://api.example.org`.
    pub only_to: String,
    /// What for.
    pub why: String,
    /// True if it works without.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub optional: bool,
}

impl WantsSecret {
    /// Who gets it; none if that is no single host, as in a manifest that nobody has checked.
    pub fn origin(&self) -> Option<Origin> {
        one_host(&self.only_to).ok()
    }

    /// Whether a grant with this right gives it.
    pub fn is_given_by(&self, right: &SecretRight) -> bool {
        self.handle == right.handle && self.origin().is_some_and(|origin| within::origin(&origin, &right.only_to))
    }

    pub(super) fn right(&self) -> Option<SecretRight> {
        Some(SecretRight { handle: self.handle.clone(), only_to: self.origin()?, line: 0 })
    }

    /// Whether it goes to a host that the package may ask, as far as it names some.
    pub(super) fn goes_to_one_of(&self, http: &WantsHttp) -> bool {
        let Some(origin) = self.origin() else { return false };
        let within = |host: &String| shapes::origin(host).is_ok_and(|wide| within::origin(&origin, &wide));
        http.hosts.is_empty() || http.hosts.iter().any(within)
    }
}

/// An origin without a star: a home has each of its secrets for single hosts.
pub(super) fn one_host(text: &str) -> Result<Origin, TextFlaw> {
    let origin = shapes::origin(text)?;
    if origin.host.contains('*') { Err("is not one host") } else { Ok(origin) }
}
