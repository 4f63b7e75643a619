//! Names to addresses. A name is resolved once for a connection, each of its addresses is looked at, and what was looked at is what is
//! dialled: there is no second look-up that could say something else.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use agentry_store::limits::HTTP_ADDRESSES_MAX;
use futures::future::BoxFuture;
use parking_lot::RwLock;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{self, Named, Place};

/// Something that knows where names are.
pub trait Resolver: Send + Sync {
    /// The addresses of a name.
    fn resolve(&self, host: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>>;
}

/// Names with their addresses.
type Hosts = BTreeMap<String, Vec<IpAddr>>;

/// The names of `[hosts]`, and the system's resolver for all others; cheap to clone, and every clone knows the same names.
#[derive(Clone)]
pub struct System {
    hosts: Arc<RwLock<Arc<Hosts>>>,
}

impl System {
    /// With these names of its own.
    pub fn new(hosts: Hosts) -> Self {
        Self { hosts: Arc::new(RwLock::new(Arc::new(hosts))) }
    }

    /// From now on, these are its own names. A connection that is open stays where it leads.
    pub fn set(&self, hosts: Hosts) {
        *self.hosts.write() = Arc::new(hosts);
    }
}

impl Resolver for System {
    fn resolve(&self, host: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let hosts = Arc::clone(&self.hosts.read());
        Box::pin(async move {
            if let Some(addresses) = hosts.get(&host) {
                return Ok(addresses.clone());
            }
            Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
        })
    }
}

/// An address that nobody may dial.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the address is {place}")]
pub(super) struct Barred {
    pub(super) address: IpAddr,
    pub(super) place: Place,
}

/// A resolver that gives only addresses that may be dialled.
pub(super) struct Guarded {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) named: Named,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, named) = (self.resolver.resolve(name.as_str().to_owned()), self.named.clone());
        Box::pin(async move {
            let addresses = allowed(found.await?, &named)?;
            // The port is the request's.
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// All of them, or none: a name with one address too many is somebody's trick.
fn allowed(addresses: Vec<IpAddr>, named: &Named) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
    if addresses.len() > HTTP_ADDRESSES_MAX {
        return Err(format!("the name has more than {HTTP_ADDRESSES_MAX} addresses").into());
    }
    for address in &addresses {
        address::check(*address, named).map_err(|place| Barred { address: *address, place })?;
    }
    Ok(addresses)
}
