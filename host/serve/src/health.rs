//! The pages of a host for those who look after it by HTTP: whether it lives, whether it takes orders, and how it stands in numbers. They name agents
//! and models, and say nothing of what any of them was given, said or did.

mod metrics;

use std::sync::{Arc, Weak};

use agentry_runtime::host::services::Services;
use agentry_runtime::triggers::pages::{Page, Pages};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::api::LookAtHost;
use crate::ops::ByHost as _;

/// Words for people and for probes.
const TEXT: &str = "text/plain; charset=utf-8";

/// The pages of a host, for as long as it is there.
pub struct Health(Weak<Services>);

impl Health {
    /// Those of this one.
    pub fn of(services: &Arc<Services>) -> Self {
        Self(Arc::downgrade(services))
    }
}

impl Pages for Health {
    fn has(&self, path: &str) -> Option<bool> {
        match path {
            "/healthz" | "/readyz" => Some(false),
            "/metrics" => Some(true),
            _ => None,
        }
    }

    fn page(&self, path: &str) -> BoxFuture<'static, Page> {
        let (services, path) = (self.0.upgrade(), path.to_owned());
        async move {
            let Some(services) = services else { return no("the host is gone") };
            if path == "/healthz" {
                return if services.pulse.is_alive() { yes("it lives") } else { no("it hangs") };
            }
            match LookAtHost.by_host(&services).await {
                Err(_) => no("the store cannot be read"),
                Ok(status) if path == "/metrics" => {
                    Page { status: 200, kind: metrics::KIND, body: metrics::text(&status) }
                }
                Ok(status) => status.unready().map_or_else(|| yes("it takes orders"), no),
            }
        }
        .boxed()
    }
}

fn yes(why: &str) -> Page {
    Page { status: 200, kind: TEXT, body: format!("{why}\n") }
}

fn no(why: &str) -> Page {
    Page { status: 503, kind: TEXT, body: format!("{why}\n") }
}
