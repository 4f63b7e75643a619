//! What a command is told about the machine it runs on that is not so: another day, and names that lead elsewhere the second time. Each
//! is a small library before the system's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::Stage;

/// Sets the clock of a command back by a day.
const YESTERDAY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, at);
    if (clock == CLOCK_REALTIME) at->tv_sec -= 86400;
    return done;
}
"#;

/// Sets the clock of a command ahead by the seconds that a file says, which is read anew each time.
const ASTRAY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, at);
    if (clock != CLOCK_REALTIME) return done;
    char text[32] = "";
    int file = open(getenv("TEST_AHEAD"), O_RDONLY | O_CLOEXEC);
    if (file >= 0) { if (read(file, text, sizeof text - 1) < 0) text[0] = 0; close(file); }
    at->tv_sec += atoll(text);
    return done;
}
"#;

/// Resolves names below `example.org` to the lines of a file, one after the other, and writes down that it was asked.
const TURNING: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    static int asked;
    if (!node || !strstr(node, ".example.org")) return real(node, service, hints, found);
    int turn = __sync_fetch_and_add(&asked, 1);
    char address[64] = "";
    FILE *file = fopen(getenv("TEST_ADDRESSES"), "r");
    for (int line = 0; file && line <= turn && fgets(address, sizeof address, file); line++) {}
    if (file) fclose(file);
    address[strcspn(address, "\n")] = 0;
    FILE *log = fopen(getenv("TEST_ASKED"), "a");
    if (log) { fprintf(log, "%s %s\n", node, address); fclose(log); }
    return real(address, service, hints, found);
}
"#;

/// A library that sets the clock of a command back by a day; none where there is no C compiler.
pub fn yesterday(stage: &Stage) -> Option<PathBuf> {
    library(stage, "yesterday", YESTERDAY)
}

/// A clock that a test sets while commands run.
pub struct Astray {
    library: PathBuf,
    ahead: PathBuf,
}

impl Astray {
    /// One that is right; none where there is no C compiler.
    pub fn new(stage: &Stage) -> Option<Self> {
        Some(Self { library: library(stage, "astray", ASTRAY)?, ahead: stage.write("ahead", "0") })
    }

    /// Sets it ahead by so many seconds, or behind, for all that were told.
    pub fn set(&self, seconds: i64) {
        // In one step: nobody reads half a number.
        let next = self.ahead.with_extension("next");
        fs::write(&next, seconds.to_string()).and_then(|()| fs::rename(&next, &self.ahead)).expect("it is ours");
    }

    /// Tells a command so.
    pub fn told_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.library).env("TEST_AHEAD", &self.ahead)
    }
}

/// Names that lead elsewhere each time they are asked for.
pub struct Turning {
    library: PathBuf,
    addresses: PathBuf,
    asked: PathBuf,
}

impl Turning {
    /// One address for each time, the last one from then on; none where there is no C compiler.
    pub fn to(stage: &Stage, addresses: &[&str]) -> Option<Self> {
        let library = library(stage, "turning", TURNING)?;
        Some(Self { library, addresses: stage.write("addresses", &addresses.join("\n")), asked: stage.path("asked") })
    }

    /// Tells a command so.
    pub fn told_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.library);
        command.env("TEST_ADDRESSES", &self.addresses).env("TEST_ASKED", &self.asked)
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        fs::read_to_string(&self.asked).map_or(0, |asked| asked.lines().count())
    }
}

fn library(stage: &Stage, name: &str, source: &str) -> Option<PathBuf> {
    let source = stage.write(&format!("{name}.c"), source);
    let library = stage.path(&format!("{name}.so"));
    compile(&source, &library).then_some(library)
}

fn compile(source: &Path, library: &Path) -> bool {
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(library).arg(source).arg("-ldl");
    compiler.status().is_ok_and(|status| status.success())
}
