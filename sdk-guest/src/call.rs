//! A call in flight: begun when it is made, cancelled when it is dropped.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A syscall that may take long. It is under way from the moment it exists, so several make progress at once;
/// `.await` waits for its outcome and dropping it cancels it.
#[must_use = "dropping a call cancels it"]
pub struct Call<T, E = crate::Error> {
    outcome: Pin<Box<dyn Future<Output = Result<T, E>>>>,
}

impl<T, E> Call<T, E> {
    pub(crate) fn new(outcome: impl IntoFuture<Output = Result<T, E>, IntoFuture: 'static>) -> Self {
        Self { outcome: Box::pin(outcome.into_future()) }
    }
}

impl<T, E> Future for Call<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.as_mut().poll(context)
    }
}

impl<T, E> fmt::Debug for Call<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
