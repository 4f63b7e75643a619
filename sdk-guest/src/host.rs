//! Whether there is a host to ask. In a unit test on the author's machine there is none: a call fails there as if the host did not
//! answer, so that code around it can be tested, and nothing aborts.

use crate::call::Call;
use crate::types::{Error, Unavailability};

/// True in a component.
pub(crate) const IS_THERE: bool = cfg!(target_family = "wasm");

/// What a call gives where there is no host.
pub(crate) fn none() -> Error {
    let reason = "there is no host here: calls are answered in a component only".into();
    Error::Unavailable(Unavailability { reason, retry_after_ms: None })
}

/// A call that is answered at once.
pub(crate) fn quick<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    if IS_THERE { call() } else { Err(none()) }
}

/// A call that may take long.
pub(crate) fn long<T, E, F>(call: impl FnOnce() -> F) -> Call<T, E>
where
    T: 'static,
    E: From<Error> + 'static,
    F: IntoFuture<Output = Result<T, E>, IntoFuture: 'static>,
{
    if IS_THERE { Call::new(call()) } else { Call::new(std::future::ready(Err(none().into()))) }
}
