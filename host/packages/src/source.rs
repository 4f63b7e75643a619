//! Where files of an index come from: a directory, or a server through the host's own guard. What is read is bounded in size and time,
//! and led nowhere that nobody named; whether it is to be believed is not decided here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentry_drivers::web::address::Named;
use agentry_drivers::web::{BodyOf, Incoming, Outgoing, Trouble, Web};
use agentry_kernel::text::line;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, Url};
use tokio_util::sync::CancellationToken;

use crate::config::{PackagesConfig, Place};
use crate::fault::{Fault, Kind};
use crate::file;
use crate::limits::REDIRECTS_MAX;

/// A place that files come from.
pub enum Source {
    /// A directory.
    Directory(PathBuf),
    /// A server.
    Web(Served),
}

/// A server of static files.
pub struct Served {
    web: Arc<Web>,
    base: Url,
    networks: Named,
    patience: Duration,
}

impl Source {
    /// The source at this place, asked on this way.
    pub fn new(place: &Place, web: Arc<Web>) -> Self {
        match place {
            Place::Directory(path) => Self::Directory(path.clone()),
            Place::Web { base, networks, patience } => {
                Self::Web(Served { web, base: base.clone(), networks: networks.clone(), patience: *patience })
            }
        }
    }

    /// The directory of a server that a file lies in, asked as `packages.toml` allows of a registry there, and the file's name. It is told no
    /// secret, and leads to no other server.
    ///
    /// # Errors
    /// If it would be asked without TLS and nobody allowed that.
    pub fn beside(file: &Url, config: &PackagesConfig, web: Arc<Web>) -> Result<(Self, String), Fault> {
        let port = file.port().map_or_else(String::new, |port| format!(":{port}"));
        let line = config.registry(&format!("{}{port}", file.host_str().unwrap_or_default()));
        if file.scheme() != "https" && !line.plain {
            let hint =
                "name it with https://; or, inside, allow it in packages.toml: [registries.\"HOST\"] with plain = true";
            return Err(Fault::usage(format!("{} would be asked without TLS", host(file)), hint));
        }
        let name = file.path().rsplit('/').next().unwrap_or_default().to_owned();
        let mut base = file.clone();
        base.set_path(file.path().strip_suffix(&name).unwrap_or("/"));
        let (networks, patience) = (line.networks, line.patience);
        Ok((Self::Web(Served { web, base, networks, patience }), name))
    }

    /// A file, whose name has plain letters, digits, `-`, `.` and `/` alone; none if there is none.
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
            Self::Web(served) => served.get(name, max_bytes).await,
        }
    }
}

impl Served {
    async fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, Fault> {
        let wrong = || Fault::usage("the address of an index cannot be put together", "look at `at` in packages.toml");
        let mut url = self.base.join(name).map_err(|_| wrong())?;
        for _ in 0..=REDIRECTS_MAX {
            let came = self.ask(url.clone(), max_bytes).await?;
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
        Err(Fault::denied(message, "name the address in packages.toml where the files are"))
    }

    async fn ask(&self, url: Url, max_bytes: usize) -> Result<Incoming, Fault> {
        let request = Outgoing {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            timeout: self.patience,
            answer_max_bytes: max_bytes,
            body_of: BodyOf::Status(200),
        };
        self.web.send(request, &self.networks, &CancellationToken::new()).await.map_err(|trouble| {
            let message = format!("cannot read {}: {}", shown(&url), line(&trouble.to_string()));
            match trouble {
                Trouble::Barred { .. } => Fault::denied(
                    message,
                    "if it is meant to be there, name its network: networks = [\"…\"] in packages.toml",
                ),
                Trouble::TooLong(_) => Fault::denied(message, "no such file is so long: ask whoever runs the index"),
                Trouble::Cancelled
                | Trouble::TimedOut(_)
                | Trouble::Busy
                | Trouble::Unreached(_)
                | Trouble::Broken(_) => {
                    Fault::unavailable(message, "look at the line, or give it more time: seconds = N in packages.toml")
                }
            }
        })
    }

    /// Where an answer leads: on the same server alone, so that nobody is led to another one or inside.
    fn led(&self, from: &Url, came: &Incoming) -> Result<Url, Fault> {
        let to = came.headers.get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| from.join(to).ok());
        let same = |to: &Url| {
            (to.scheme(), to.host(), to.port_or_known_default())
                == (from.scheme(), from.host(), from.port_or_known_default())
        };
        to.clone().filter(same).ok_or_else(|| {
            let to = to.map_or_else(|| "nowhere".to_owned(), |to| host(&to));
            let message = format!("{} leads to another server, {to}", host(from));
            Fault::denied(
                message,
                "no file of an index is followed elsewhere; if it has moved, name the new address in packages.toml",
            )
        })
    }
}

/// The server, as a message names it.
fn host(url: &Url) -> String {
    line(&url.origin().ascii_serialization())
}

/// The address, without what only the server should see.
fn shown(url: &Url) -> String {
    line(&format!("{}{}", url.origin().ascii_serialization(), url.path()))
}
