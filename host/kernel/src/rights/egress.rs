//! Rights to the outside: addresses, secrets for them, and other agents.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::Extra;
use crate::pattern::{host_fits, name_fits, url_path_fits};
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

/// Agents that may be called and written to. Each is a name, or the beginning of one and `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentsRight {
    /// Those that may be called.
    pub call: Vec<String>,
    /// Those that letters may go to.
    pub send: Vec<String>,
    /// Those whose letters come in, and are answered.
    pub receive: Vec<String>,
    /// How deep calls may nest below this agent; at least 1.
    pub max_depth: u32,
    /// Where it stands.
    pub line: u32,
}

impl AgentsRight {
    /// Whether this agent may be called.
    pub fn calls(&self, agent: &str) -> bool {
        fits_one(&self.call, agent)
    }

    /// Whether letters may go to this agent.
    pub fn sends(&self, agent: &str) -> bool {
        fits_one(&self.send, agent)
    }

    /// Whether letters of this agent come in.
    pub fn receives(&self, agent: &str) -> bool {
        fits_one(&self.receive, agent)
    }
}

fn fits_one(patterns: &[String], agent: &str) -> bool {
    patterns.iter().any(|pattern| name_fits(pattern, agent))
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
