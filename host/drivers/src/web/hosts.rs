//! `[hosts]` of `agentry.toml`: names that this host resolves by itself. It decides on no address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use agentry_config::ConfigError;
use agentry_config::reader::Table;

/// More names are a mistake.
const HOSTS_MAX: usize = 1_024;

/// More addresses of one name are a mistake.
const ADDRESSES_MAX: usize = 16;

/// Reads the table.
///
/// # Errors
/// The first mistake, with its line.
pub fn parse(root: &Table<'_>) -> Result<BTreeMap<String, Vec<IpAddr>>, ConfigError> {
    let Some(table) = root.get_table("hosts")? else { return Ok(BTreeMap::new()) };
    let names: Vec<&str> = table.keys().collect();
    if names.len() > HOSTS_MAX {
        return Err(root.mistake_in("hosts", format!("there are more than {HOSTS_MAX} hosts"), "remove some"));
    }
    names.into_iter().map(|name| Ok((host(name, &table)?, addresses(name, &table)?))).collect()
}

/// A name in the one form in which requests name it.
fn host(name: &str, table: &Table<'_>) -> Result<String, ConfigError> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let fits = !name.is_empty() && name.len() <= 253 && name.bytes().all(known);
    // A number is an address already.
    let is_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if !fits || is_number || name.starts_with('.') || name.ends_with('.') {
        let hint = "write the name in lowercase letters, without a dot at its end; foreign letters as punycode";
        return Err(table.mistake_in(name, format!("`{name}` is no name of a host"), hint));
    }
    Ok(name.to_owned())
}

fn addresses(name: &str, table: &Table<'_>) -> Result<Vec<IpAddr>, ConfigError> {
    let wrong =
        || table.mistake_in(name, format!("`{name}` has no addresses"), "for example [\"10.1.2.3\", \"fd00::7\"]");
    let addresses: Option<Vec<IpAddr>> = table.texts(name)?.into_iter().map(|text| text.parse().ok()).collect();
    addresses.filter(|addresses| (1..=ADDRESSES_MAX).contains(&addresses.len())).ok_or_else(wrong)
}
