//! Tells systemd how the host stands, if systemd asks: one datagram, as sd_notify(3) describes it. Nobody waits for it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Says it, where `NOTIFY_SOCKET` says.
pub fn tell(state: &str) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let Some(address) = address(&place) else { return };
    if let Ok(socket) = UnixDatagram::unbound() {
        // Whoever asked has gone, or it comes.
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}

/// How often systemd wants to hear that the host goes on; none if it does not ask, or asks another process.
pub fn watchdog() -> Option<Duration> {
    let of = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if of("WATCHDOG_PID").is_some_and(|process| process != u64::from(std::process::id())) {
        return None;
    }
    // Twice as often as it must, as sd_watchdog_enabled(3) says.
    of("WATCHDOG_USEC").filter(|us| *us > 0).map(|us| Duration::from_micros(us.div_ceil(2)))
}

/// A path, or behind `@` a name without a file.
fn address(place: &OsStr) -> Option<SocketAddr> {
    match place.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name).ok()
        }
        [b'/', ..] => SocketAddr::from_pathname(place).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_or_an_abstract_name() {
        let path = address(OsStr::new("/run/notify")).expect("a path");
        assert_eq!(path.as_pathname(), Some(std::path::Path::new("/run/notify")));
        assert!(address(OsStr::new("vsock:2:1")).is_none() && address(OsStr::new("")).is_none());
    }
}
