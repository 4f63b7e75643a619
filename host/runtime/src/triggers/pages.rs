//! Pages that a host shows on the address of its webhooks to whoever looks after it: the form of one, and who may see it. What stands on them is
//! others' to say.

use futures::future::BoxFuture;

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Of HTTP.
    pub status: u16,
    /// Its kind, as `content-type` has it.
    pub kind: &'static str,
    /// All of it.
    pub body: String,
}

/// Who writes the pages of a host.
pub trait Pages: Send + Sync {
    /// Whether there is such a page, and whether it is for those alone who know the token.
    fn has(&self, path: &str) -> Option<bool>;

    /// The page as it is now.
    fn page(&self, path: &str) -> BoxFuture<'static, Page>;
}
