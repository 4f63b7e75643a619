//! `[registries."HOST"]` of `packages.toml`: what an admin allows of a registry of containers. One that nobody wrote anything of may be asked
//! for what is public, at public addresses, and leads nowhere else.

use std::time::Duration;

use agentry_config::ConfigError;
use agentry_config::reader::Table;
use agentry_drivers::web::address::Named;
use reqwest::Url;

use super::networks;
use crate::limits::{WAIT_DEFAULT_S, WAIT_MAX_S};
use crate::name::oci::is_host;

const REGISTRY_KEYS: [&str; 5] = ["networks", "seconds", "plain", "leads_to", "secret"];

/// A registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryLine {
    /// As `oci://HOST/…` names it.
    pub host: String,
    /// What may be dialled though it is not public.
    pub networks: Named,
    /// How long one request may take.
    pub patience: Duration,
    /// Whether it speaks HTTP without TLS.
    pub plain: bool,
    /// Origins that it may lead to: for a token, or for a layer.
    pub leads_to: Vec<Url>,
    /// The handle of what says who asks.
    pub secret: Option<String>,
}

impl RegistryLine {
    /// One that nobody wrote anything of.
    pub fn unnamed(host: &str) -> Self {
        let patience = Duration::from_secs(WAIT_DEFAULT_S);
        let (networks, leads_to) = (Named::default(), Vec::new());
        Self { host: host.to_owned(), networks, patience, plain: false, leads_to, secret: None }
    }
}

pub(super) fn registry(host: &str, table: &Table<'_>) -> Result<RegistryLine, ConfigError> {
    table.only(&REGISTRY_KEYS)?;
    if !is_host(host) {
        let hint = "for example [registries.\"ghcr.io\"] or [registries.\"10.1.0.9:5000\"]";
        return Err(table.mistake(format!("`{host}` is no host of a registry"), hint));
    }
    let seconds = table.number("seconds", 1..WAIT_MAX_S + 1)?.unwrap_or(WAIT_DEFAULT_S);
    let named = networks(table)?;
    let plain = table.flag("plain")?.unwrap_or(false);
    if plain && named.is_empty() {
        let message = "`plain` is for a registry inside: what it is told, everybody on the way can read";
        return Err(table.mistake_in("plain", message, "name its network: networks = [\"10.1.0.0/16\"]"));
    }
    let leads_to = table.texts("leads_to")?.into_iter().map(|text| {
        let origin = Url::parse(text).ok().filter(|url| {
            let schemes = if plain { &["http", "https"][..] } else { &["https"] };
            let is_bare = url.query().is_none() && url.fragment().is_none();
            let is_nobodys = url.username().is_empty() && url.password().is_none();
            schemes.contains(&url.scheme()) && url.host().is_some() && url.path() == "/" && is_bare && is_nobodys
        });
        origin.ok_or_else(|| {
            let hint = "a scheme and a host, and nothing else: \"https://auth.example.org\"";
            table.mistake_in("leads_to", format!("`{text}` is no origin"), hint)
        })
    });
    let leads_to = leads_to.collect::<Result<_, _>>()?;
    let secret = table.text("secret")?.map(str::to_owned);
    let (host, networks, patience) = (host.to_owned(), Named::new(named), Duration::from_secs(seconds));
    Ok(RegistryLine { host, networks, patience, plain, leads_to, secret })
}
