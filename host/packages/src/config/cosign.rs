//! `[cosign]` and `[publishers.NAME]` of `packages.toml`: the trusted root of a Sigstore, and whom its certificates must name for a publisher. One who is
//! pinned so is nobody else: no key is taken for them.

use std::path::PathBuf;

use agentry_config::ConfigError;
use agentry_config::reader::Table;
use agentry_kernel::labels;

use crate::cosign::not_built_in;
use crate::identity::Identity;
use crate::limits::IDENTITIES_MAX;

const COSIGN_KEYS: [&str; 1] = ["root"];

const PUBLISHER_KEYS: [&str; 2] = ["identity", "issuer"];

/// A publisher whom an admin pins by an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherLine {
    /// What it is called.
    pub name: String,
    /// Whom certificates must name.
    pub identity: Identity,
}

/// What is said of both; `is_built_in` says whether anybody would look at it.
pub(super) fn read(root: &Table<'_>, is_built_in: bool) -> Result<(Option<PathBuf>, Vec<PublisherLine>), ConfigError> {
    let (cosign, publishers) = (root.get_table("cosign")?, root.tables("publishers")?);
    if !is_built_in && (cosign.is_some() || !publishers.is_empty()) {
        let fault = not_built_in();
        return Err(root.mistake_in(if cosign.is_some() { "cosign" } else { "publishers" }, fault.message, fault.hint));
    }
    let trusted = match &cosign {
        None => None,
        Some(table) => {
            table.only(&COSIGN_KEYS)?;
            Some(table.document.beside(table.needs_text("root")?))
        }
    };
    if trusted.is_none() && !publishers.is_empty() {
        let hint = "name the trusted root of the Sigstore: [cosign] with root = \"trusted_root.json\"";
        return Err(root.mistake_in("publishers", "identities mean nothing without a trusted root", hint));
    }
    if publishers.len() > IDENTITIES_MAX {
        let message = format!("there are more than {IDENTITIES_MAX} publishers");
        return Err(root.mistake_in("publishers", message, "remove some"));
    }
    Ok((trusted, publishers.into_iter().map(|(name, table)| publisher(name, &table)).collect::<Result<_, _>>()?))
}

fn publisher(name: &str, table: &Table<'_>) -> Result<PublisherLine, ConfigError> {
    if table.value("key").is_some() {
        let message = format!("a key of `{name}` is not trusted here");
        return Err(table.mistake_in("key", message, format!("agentry key trust {name} ed25519:… does that")));
    }
    table.only(&PUBLISHER_KEYS)?;
    labels::check(name).map_err(|flaw| {
        table.mistake(format!("`{name}` cannot be a publisher: it {flaw}"), "for example [publishers.acme]")
    })?;
    let identity = Identity::new(table.needs_text("identity")?, table.needs_text("issuer")?)
        .map_err(|fault| table.mistake_in("identity", fault.message, fault.hint))?;
    Ok(PublisherLine { name: name.to_owned(), identity })
}
