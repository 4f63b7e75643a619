//! Rights to the outside: addresses, secrets for them, and other agents.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Extra, host_fits, url_path_fits};
use crate::url::{Scheme, Url};

/// Hosts that may be reached, and how: `https://*.example.org`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Encrypted or not.
    pub scheme: Scheme,
    /// `api.example.org`, `*.example.org`, a number, or `*` for every name.
    pub host: String,
    /// Where.
    pub port: u16,
}

/// Addresses that may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRight {
    /// The rule's id.
    pub id: String,
    /// Who.
    pub to: Origin,
    /// `GET`, `HEAD`, …
    pub methods: Vec<String>,
    /// `/v1/items`, or `/v1/**` for the subtree and its top.
    pub paths: Vec<String>,
    /// True if the host may turn out to be this machine or one of its network.
    pub private: bool,
    /// What else binds it.
    pub extra: Extra,
    /// Where it stands.
    pub line: u32,
}

/// A secret that the host may put into a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRight {
    /// Its name for agents.
    pub handle: String,
    /// The only ones who may see it.
    pub only_to: Origin,
    /// Where it stands.
    pub line: u32,
}

/// Agents that may be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentsRight {
    /// Their names, or beginnings and `*`.
    pub call: Vec<String>,
    /// How deep calls may nest below this agent; at least 1.
    pub max_depth: u32,
    /// Where it stands.
    pub line: u32,
}

impl Origin {
    /// Whether an address is at one of these hosts.
    pub fn fits(&self, url: &Url<'_>) -> bool {
        self.scheme == url.scheme && self.port == url.port && host_fits(&self.host, url.name)
    }
}

impl HttpRight {
    /// Whether it covers this request, but for what binds it besides.
    pub fn allows(&self, method: &str, url: &Url<'_>) -> bool {
        self.to.fits(url)
            && self.methods.iter().any(|granted| granted == method)
            && self.paths.iter().any(|pattern| url_path_fits(pattern, url.path))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.word(), self.host)?;
        if self.port == self.scheme.port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}
