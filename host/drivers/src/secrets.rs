//! Secrets by handle: an agent names one, and the host puts it into a request on its way out, for its audience only. No guest sees
//! a secret: not in what it sends, and not in what comes back.

pub mod config;

use std::collections::BTreeMap;
use std::fmt;

use agentry_config::scrub::{SECRET_MIN_BYTES, Scrub};
use agentry_config::secret::Secret;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use self::config::{Audience, SecretLine};

/// The secrets of a host, read once.
#[derive(Default)]
pub struct Secrets {
    entries: BTreeMap<String, Entry>,
    scrub: Scrub,
}

struct Entry {
    value: Result<Secret, String>,
    header: HeaderName,
    prefix: String,
    only_to: Vec<Audience>,
}

/// Why a secret is not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// Nobody set up one of this name.
    Unknown(String),
    /// It was set up, and cannot be read.
    Unset(String),
    /// It is not for whom it would go to.
    Audience(String),
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(handle) => write!(f, "there is no secret `{handle}`"),
            Self::Unset(why) => f.write_str(why),
            Self::Audience(only_to) => write!(f, "the secret is only for {only_to}"),
        }
    }
}

impl Withheld {
    /// The same for the admin of this host, with what to do about it; `audience` is to whom it would go: `tool:NAME` or an origin.
    pub fn told(&self, audience: &str) -> String {
        match self.remedy(audience) {
            hint if hint.is_empty() => self.to_string(),
            hint => format!("{self}\nhint: {hint}"),
        }
    }

    /// What the admin can do about it; nothing where its words say that.
    pub fn remedy(&self, audience: &str) -> String {
        match self {
            Self::Unknown(handle) => {
                format!("add [secrets.{handle}] to agentry.toml, with `env` or `file` and only_to = [\"{audience}\"]")
            }
            Self::Audience(_) => format!("add \"{audience}\" to its `only_to` in agentry.toml, if it is meant for it"),
            Self::Unset(_) => String::new(),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

impl Secrets {
    /// Reads them all. One that cannot be read is in nobody's way until it is named.
    pub fn open(lines: &[SecretLine]) -> Self {
        let entries: BTreeMap<String, Entry> = lines
            .iter()
            .map(|line| {
                let long_enough = |secret: Secret| {
                    if secret.reveal().len() >= SECRET_MIN_BYTES { Ok(secret) } else { Err(too_short(&line.handle)) }
                };
                let entry = Entry {
                    value: line.value.read().and_then(long_enough),
                    header: line.header.clone(),
                    prefix: line.prefix.clone(),
                    only_to: line.only_to.clone(),
                };
                (line.handle.clone(), entry)
            })
            .collect();
        let scrub = Scrub::new(entries.values().filter_map(|entry| entry.value.as_ref().ok()).map(Secret::reveal));
        Self { entries, scrub }
    }

    /// What takes all of them out of a text.
    pub fn scrub(&self) -> &Scrub {
        &self.scrub
    }

    /// Those that cannot be given to anybody as things stand, each by its handle, and why.
    pub fn troubles(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().filter_map(|(handle, entry)| Some((&**handle, &**entry.value.as_ref().err()?)))
    }

    /// The header that carries a secret to this address.
    pub fn header(&self, handle: &str, to: &Url) -> Result<(HeaderName, HeaderValue), Withheld> {
        let entry = self.entry(handle)?;
        let secret = entry.given(entry.only_to.iter().any(|audience| audience.is_origin_of(to)))?;
        let value = HeaderValue::from_str(&format!("{}{}", entry.prefix, secret.reveal()));
        let mut value = value.expect("a secret and its prefix are visible ASCII, as their readers saw to");
        value.set_sensitive(true);
        Ok((entry.header.clone(), value))
    }

    /// The secret itself, for a tool that it is meant for.
    pub fn for_tool(&self, handle: &str, tool: &str) -> Result<&str, Withheld> {
        let entry = self.entry(handle)?;
        let is_meant = entry.only_to.iter().any(|audience| *audience == Audience::Tool(tool.to_owned()));
        entry.given(is_meant).map(Secret::reveal)
    }

    fn entry(&self, handle: &str) -> Result<&Entry, Withheld> {
        self.entries.get(handle).ok_or_else(|| Withheld::Unknown(handle.to_owned()))
    }
}

impl Entry {
    fn given(&self, is_meant: bool) -> Result<&Secret, Withheld> {
        if !is_meant {
            let only_to: Vec<String> = self.only_to.iter().map(Audience::to_string).collect();
            return Err(Withheld::Audience(only_to.join(", ")));
        }
        self.value.as_ref().map_err(|why| Withheld::Unset(why.clone()))
    }
}

fn too_short(handle: &str) -> String {
    format!(
        "secret `{handle}` has fewer than {SECRET_MIN_BYTES} bytes: it could not be told from other words\n\
         hint: set a longer one where it is issued"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use agentry_config::secret::Key;

    use super::*;

    fn secrets(value: &str) -> Secrets {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("key");
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a file");
        std::io::Write::write_all(&mut file, value.as_bytes()).expect("written");
        let line = SecretLine {
            handle: "crm".to_owned(),
            value: Key::File(path),
            header: HeaderName::from_static("authorization"),
            prefix: "Bearer ".to_owned(),
            only_to: vec![
                Audience::Origin("https://api.example.org".to_owned()),
                Audience::Tool("crm.find".to_owned()),
            ],
        };
        Secrets::open(&[line])
    }

    fn header(secrets: &Secrets, to: &str) -> Result<(HeaderName, HeaderValue), Withheld> {
        secrets.header("crm", &Url::parse(to).expect(to))
    }

    #[test]
    fn a_secret_goes_to_its_audience_and_to_nobody_else() {
        let secrets = secrets("sk-very-secret");
        let (name, value) = header(&secrets, "https://api.example.org/v1?x=1").expect("it is for them");
        assert_eq!((name.as_str(), value.to_str().expect("ASCII")), ("authorization", "Bearer sk-very-secret"));
        assert!(value.is_sensitive());
        let others = [
            "http://api.example.org/",
            "https://api.example.org:8443/",
            "https://api.example.org.evil.example/",
            "https://example.org/",
            "https://evil.example/?https://api.example.org",
        ];
        for other in others {
            let withheld = header(&secrets, other).expect_err(other);
            assert_eq!(withheld, Withheld::Audience("https://api.example.org, tool:crm.find".to_owned()));
        }
        assert_eq!(secrets.for_tool("crm", "crm.find"), Ok("sk-very-secret"));
        assert!(matches!(secrets.for_tool("crm", "crm.findall"), Err(Withheld::Audience(_))));
        assert_eq!(secrets.for_tool("other", "crm.find"), Err(Withheld::Unknown("other".to_owned())));
    }

    #[test]
    fn nothing_that_is_printed_holds_a_secret() {
        let secrets = secrets("sk-very-secret");
        assert_eq!(format!("{secrets:?}"), "{\"crm\"}");
        let withheld = header(&secrets, "https://evil.example/").expect_err("not for them");
        assert!(!format!("{withheld} {withheld:?}").contains("sk-very"));
        assert_eq!(secrets.scrub().text("it is sk-very-secret"), "it is [secret]");
    }

    #[test]
    fn a_secret_that_could_not_be_told_from_other_words_is_none() {
        let secrets = secrets("hunter2");
        let withheld = header(&secrets, "https://api.example.org/").expect_err("too short").to_string();
        assert!(withheld.contains("fewer than 8 bytes") && !withheld.contains("hunter2"), "{withheld}");
    }
}
