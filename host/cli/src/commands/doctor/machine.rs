//! This machine: its kernel, its limits, its disk and its clock, as far as a host of agents rests on them. It reads and changes nothing.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::screen::units;

/// The first kernel on which scanning pages is cheap (`PAGEMAP_SCAN`); older ones run agents, more slowly.
const KERNEL_GOOD: (u32, u32) = (6, 7);

/// Files that a host with its runs, tools and connections needs.
const FILES_MIN: u64 = 4_096;

/// What the pool of 1 500 runs maps, about six each, and the rest of the process.
const MAPPINGS_MIN: u64 = 16_384;

/// Less than this and a journal soon cannot be written.
const DISK_MIN_BYTES: u64 = 256 * 1024 * 1024;

/// No clock of a machine that runs this is older: 2026-01-01.
const CLOCK_MIN_S: u64 = 1_767_225_600;

/// Looks at all of it.
pub fn look(home: &Path) -> Vec<Finding> {
    vec![kernel(), memory(), files(), mappings(), disk(home), clock()]
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let mut parts = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version >= KERNEL_GOOD {
        return Finding::good("kernel", format!("Linux {release}"));
    }
    let mend = "6.7 and later give runs back their memory faster; older ones work";
    Finding::odd("kernel", format!("Linux {release}"), mend)
}

fn memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().split(' ').next()?.parse::<u64>().ok());
    let Some(available) = kib("MemAvailable:") else {
        return Finding::odd("memory", "nobody says how much there is", "mount /proc");
    };
    let shown = format!("{} available", units::bytes(available.saturating_mul(1024)));
    if available < 256 * 1024 {
        return Finding::odd(
            "memory",
            shown,
            "the embedded model wants about 1 GiB; an agent 64 MiB unless its grant says otherwise",
        );
    }
    Finding::good("memory", shown)
}

/// What a host may open: it raises its own limit as far as it may, so a shell that gives less at first is in nobody's way.
fn files() -> Finding {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let shown = match limit {
        u64::MAX => "any number of open files".to_owned(),
        limit => format!("up to {} open files", units::count(limit)),
    };
    if limit >= FILES_MIN {
        return Finding::good("files", shown);
    }
    Finding::odd(
        "files",
        shown,
        format!("LimitNOFILE={FILES_MIN} in the unit of systemd, or `ulimit -Hn {FILES_MIN}` before it, as root"),
    )
}

fn mappings() -> Finding {
    match number("/proc/sys/vm/max_map_count") {
        Some(most) if most < MAPPINGS_MIN => {
            let mend =
                "sysctl -w vm.max_map_count=65530, or run fewer at once: [engine] with `runs_max` in agentry.toml";
            Finding::odd("mappings", format!("{} mappings a process", units::count(most)), mend)
        }
        Some(most) => Finding::good("mappings", format!("{} mappings a process", units::count(most))),
        None => Finding::odd("mappings", "nobody says how many there may be", "mount /proc"),
    }
}

/// The disk of the home, or of the directory that it will be in.
fn disk(home: &Path) -> Finding {
    let place = home.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"));
    let Ok(disk) = statvfs(place) else {
        return Finding::odd("disk", format!("{} cannot be asked", place.display()), "choose another home: --home DIR");
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let shown = format!("{} free at {}", units::bytes(free), place.display());
    if free < DISK_MIN_BYTES {
        return Finding::wrong("disk", shown, "make room: a run that cannot be written down does not go on");
    }
    Finding::good("disk", shown)
}

fn clock() -> Finding {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let shown = format!("{} UTC", units::moment(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)));
    if now.as_secs() < CLOCK_MIN_S {
        return Finding::wrong("clock", shown, "set it: timedatectl set-ntp true");
    }
    Finding::good("clock", shown)
}
