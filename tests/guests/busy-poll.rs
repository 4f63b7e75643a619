//! Polls a wait again and again instead of waiting for it.
//! Justification: a guest that never yields of itself is still sliced and ended.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use agentry::{Failure, timers};

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    let mut sleep = pin!(timers::sleep(Duration::from_secs(3600)));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(ended) = sleep.as_mut().poll(&mut context) {
            return Ok(ended?);
        }
    }
}
