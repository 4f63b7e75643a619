//! Where files of an index come from, or one by itself: a directory, or a server through the host's own guard. What is read is bounded in size and time,
//! and led nowhere that nobody named; whether it is to be believed is not decided here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentry_drivers::web::address::Named;
use agentry_drivers::web::{BodyOf, Incoming, Outgoing, Trouble, Web};
use agentry_kernel::text::line;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, Url};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{PackagesConfig, Place};
use crate::fault::{Fault, Kind};
use crate::file;
use crate::limits::REDIRECTS_MAX;
use crate::name::{host, origin};

/// A place that files come from.
pub enum Source {
    /// A directory.
    Directory(PathBuf),
    /// A server.
    Web(Served),
}

/// A file that lies on a server by itself, with its signature beside it.
pub struct Offered(Served);

/// A server of static files.
pub struct Served {
    web: Arc<Web>,
    /// The directory of an index, or the file that lies there by itself.
    base: Url,
    networks: Named,
    patience: Duration,
    /// The host under whose name `packages.toml` says something of a file that lies by itself; none for an index, which has its own lines there.
    section: Option<String>,
}

impl Source {
    /// The source at this place, asked on this way.
    pub fn new(place: &Place, web: Arc<Web>) -> Self {
        match place {
            Place::Directory(path) => Self::Directory(path.clone()),
            Place::Web { base, networks, patience } => {
                let (base, networks) = (base.clone(), networks.clone());
                Self::Web(Served { web, base, networks, patience: *patience, section: None })
            }
        }
    }

    /// How long one file may take; a directory gives what it has at once.
    pub fn patience(&self) -> Option<Duration> {
        match self {
            Self::Directory(_) => None,
            Self::Web(served) => Some(served.patience),
        }
    }

    /// A file of an index, whose name has plain letters, digits, `-`, `.` and `/` alone; none if there is none.
    ///
    /// # Errors
    /// If it is larger than it may be, does not come in time, or leads elsewhere.
    pub async fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, Fault> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-./+".contains(&byte);
        if !name.bytes().all(plain) || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Fault::denied(format!("an index names the file `{}`", line(name)), "tell whoever runs it"));
        }
        match self {
            // As from a server: what is too long, or no file, is what the index offers and not what was asked for.
            Self::Directory(path) => file::read(&path.join(name), max_bytes).map_err(|why| match why.kind {
                Kind::Usage => Fault::denied(why.message, "no such file is so: ask whoever runs the index"),
                _ => why,
            }),
            Self::Web(served) => {
                let wrong =
                    |_| Fault::usage("the address of an index cannot be put together", "look at `at` in packages.toml");
                served.get(served.base.join(name).map_err(wrong)?, max_bytes).await
            }
        }
    }
}

impl Offered {
    /// The file at this address, asked as `packages.toml` allows of a registry there. The server is told no secret, and leads to no other one.
    ///
    /// # Errors
    /// If it would be asked without TLS and nobody allowed that.
    pub fn new(file: &Url, config: &PackagesConfig, web: Arc<Web>) -> Result<Self, Fault> {
        let port = file.port().map_or_else(String::new, |port| format!(":{port}"));
        let name = format!("{}{port}", file.host_str().unwrap_or_default());
        let line = config.registry(&name);
        if file.scheme() != "https" && !line.plain {
            let hint = format!(
                "name it with https://; or, inside, allow it in packages.toml: [registries.\"{name}\"] with plain = true"
            );
            return Err(Fault::usage(format!("{} would be asked without TLS", host(file)), hint));
        }
        let (networks, patience, section) = (line.networks, line.patience, Some(name));
        Ok(Self(Served { web, base: file.clone(), networks, patience, section }))
    }

    /// It; none if there is none.
    ///
    /// # Errors
    /// If it is larger than it may be, does not come in time, or leads elsewhere.
    pub async fn file(&self, max_bytes: usize) -> Result<Option<Vec<u8>>, Fault> {
        self.0.get(self.0.base.clone(), max_bytes).await
    }

    /// What lies beside it under its name and this ending; none if nothing does.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub async fn beside(&self, ending: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, Fault> {
        let mut beside = self.0.base.clone();
        beside.set_path(&format!("{}.{ending}", beside.path()));
        self.0.get(beside, max_bytes).await
    }
}

impl Served {
    /// The file at this address, wherever the server leads within itself: all of that together takes no longer than a file may.
    async fn get(&self, mut url: Url, max_bytes: usize) -> Result<Option<Vec<u8>>, Fault> {
        let until = Instant::now() + self.patience;
        for _ in 0..=REDIRECTS_MAX {
            let came = self.ask(url.clone(), max_bytes, until).await?;
            match came.status {
                200 => return Ok(Some(came.body)),
                403 | 404 | 410 => return Ok(None),
                301 | 302 | 303 | 307 | 308 => url = self.led(&url, &came)?,
                status => {
                    let message = format!("{} answered with status {status}", host(&url));
                    return Err(Fault::unavailable(message, "try again later, or ask whoever runs it"));
                }
            }
        }
        let message = format!("{} leads on more than {REDIRECTS_MAX} times", host(&self.base));
        Err(Fault::denied(
            message,
            self.or("name the address in packages.toml where the files are", "name the address where the file is"),
        ))
    }

    async fn ask(&self, url: Url, max_bytes: usize, until: Instant) -> Result<Incoming, Fault> {
        let request = Outgoing {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            timeout: until.saturating_duration_since(Instant::now()),
            answer_max_bytes: max_bytes,
            body_of: BodyOf::Status(200),
        };
        self.web.send(request, &self.networks, &CancellationToken::new()).await.map_err(|trouble| {
            let trouble = match trouble {
                // What is left of the time says nothing to whoever gave it.
                Trouble::TimedOut(_) => Trouble::TimedOut(self.patience),
                trouble => trouble,
            };
            let message = format!("cannot read {}: {}", shown(&url), line(&trouble.to_string()));
            let section = self.section.as_ref().map_or_else(String::new, |name| format!("[registries.\"{name}\"] of "));
            match trouble {
                Trouble::Barred { .. } => Fault::denied(
                    message,
                    format!(
                        "if it is meant to be there, name its network: networks = [\"…\"] in {section}packages.toml"
                    ),
                ),
                Trouble::TooLong(_) => Fault::denied(
                    message,
                    self.or(
                        "no such file is so long: ask whoever runs the index",
                        "no such file is so long: ask whoever offers it",
                    ),
                ),
                Trouble::Cancelled
                | Trouble::TimedOut(_)
                | Trouble::Busy
                | Trouble::Unreached(_)
                | Trouble::Broken(_) => Fault::unavailable(
                    message,
                    format!("look at the line, or give it more time: seconds = N in {section}packages.toml"),
                ),
            }
        })
    }

    /// Where an answer leads: on the same server alone, so that nobody is led to another one or inside, and with nobody's name or password.
    fn led(&self, from: &Url, came: &Incoming) -> Result<Url, Fault> {
        let to = came.headers.get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| from.join(to).ok());
        let same = |to: &Url| {
            (to.scheme(), to.host(), to.port_or_known_default())
                == (from.scheme(), from.host(), from.port_or_known_default())
        };
        let message = match to {
            Some(to) if same(&to) && to.username().is_empty() && to.password().is_none() => return Ok(to),
            Some(to) if same(&to) => format!("{} leads to an address with a name or a password", host(from)),
            Some(to) => format!("{} leads to another server, {}", host(from), origin(&to)),
            None => format!("{} leads nowhere", host(from)),
        };
        Err(Fault::denied(
            message,
            self.or(
                "no file of an index is followed elsewhere; if it has moved, name the new address in packages.toml",
                "no file is followed elsewhere; if it has moved, name the new address",
            ),
        ))
    }

    /// What is said of a file of an index, or of one by itself.
    fn or(&self, of_index: &'static str, alone: &'static str) -> &'static str {
        if self.section.is_some() { alone } else { of_index }
    }
}

/// The address, without what only the server should see.
fn shown(url: &Url) -> String {
    line(&format!("{}{}", url.origin().ascii_serialization(), url.path()))
}
