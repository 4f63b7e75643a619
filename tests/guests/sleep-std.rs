//! Sleeps an hour with std, which is WASI's clock.
//! Justification: the virtual WASI must not hold a thread of the host.

use std::time::Duration;

use agentry::Failure;

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    std::thread::sleep(Duration::from_secs(3600));
    Ok(())
}
