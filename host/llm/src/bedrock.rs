//! Converse, of Amazon Bedrock: one interface to the models of many. It knows their words and decides nothing.
//!
//! Source: Amazon Bedrock API reference, `ConverseStream` and `Converse`.

mod answer;
mod request;
mod sign;

use std::sync::Arc;
use std::time::SystemTime;

use reqwest::Request as HttpRequest;
use reqwest::header::{ACCEPT, HeaderValue};

use self::answer::Answer;
use self::sign::Signer;
use super::remote::Dialect;
use super::target::Target;
use agentry_abi::bindings::agentry::agent::llm::Request;
use agentry_config::secret::LiveKey;

/// A model behind Converse.
pub(crate) struct Bedrock {
    pub(super) target: Target,
    /// `ID:SECRET` or `ID:SECRET:TOKEN`, by which requests are signed, or a key of Bedrock's own, which is shown; none if there is no key.
    pub(super) key: Option<Arc<LiveKey>>,
    pub(super) region: String,
}

impl Dialect for Bedrock {
    type Answer = Answer;

    fn target(&self) -> &Target {
        &self.target
    }

    fn body(&self, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
        self.target.body(|to| request::body(to, request, output_tokens_max))
    }

    fn sign(&self, question: &mut HttpRequest) -> Result<(), String> {
        question.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/vnd.amazon.eventstream"));
        let Some(key) = &self.key else { return Ok(()) };
        let key = key.now()?;
        if key.reveal().contains(':') {
            return Signer::of(key.reveal(), &self.region)?.sign(question, SystemTime::now());
        }
        let shown = HeaderValue::from_str(&format!("Bearer {}", key.reveal()));
        let mut shown = shown.expect("a secret is visible ASCII, as its reader saw to");
        shown.set_sensitive(true);
        question.headers_mut().insert("authorization", shown);
        Ok(())
    }

    fn answer(&self) -> Answer {
        Answer::default()
    }
}

/// The region in an address such as `bedrock-runtime.us-east-1.amazonaws.com`; elsewhere there is none to sign for, and any does.
pub(super) fn region(base_url: &str) -> String {
    let host = base_url.split("://").nth(1).unwrap_or_default();
    let mut labels = host.split(['.', '/', ':']);
    match (labels.next(), labels.next()) {
        (Some(first), Some(region)) if first.starts_with("bedrock") && !region.is_empty() => region.to_owned(),
        _ => "us-east-1".to_owned(),
    }
}
