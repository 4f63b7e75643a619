//! The C library that std for a target stands on, and what a program begins and ends with. It takes files as they are and compiles one function.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::debian::Debian;
use crate::platform::Platform;
use crate::quietly::{quietly, reading};

/// The C compiler for musl on the machine's own processor.
const MUSL_CC: &str = "musl-gcc";

/// What musl brings: a program that is linked to nothing begins with `rcrt1.o` if it may lie anywhere, and with `crt1.o` if not.
const MUSL: [&str; 6] = ["crt1.o", "rcrt1.o", "Scrt1.o", "crti.o", "crtn.o", "libc.a"];

/// What the C compiler brings around them, whatever the library.
const COMPILER: [&str; 5] = ["crtbegin.o", "crtbeginS.o", "crtbeginT.o", "crtend.o", "crtendS.o"];

/// Debian's unwinder is compiled for glibc with checked printing; this is all of glibc that it asks for. The one of GCC asks for glibc's loader.
const CHECKED_PRINTING: &str = r#"#include <stdarg.h>
#include <stdio.h>

int __fprintf_chk(FILE *to, int flag, const char *format, ...) {
    va_list rest;
    (void)flag;
    va_start(rest, format);
    int written = vfprintf(to, format, rest);
    va_end(rest);
    return written;
}
"#;

/// Puts into `contained` what programs for this target are linked with beside std.
pub(crate) fn gather(platform: Platform, debian: &Debian, contained: &Path) -> Result<()> {
    match platform {
        Platform::Pure => Ok(()),
        Platform::Wasip2 => copy(&debian.wasi_libc()?, &["crt1-command.o", "crt1-reactor.o", "libc.a"], contained),
        Platform::Musl => {
            copy(&musl()?, &MUSL, contained)?;
            for file in COMPILER {
                fs::copy(of_the_compiler(file)?, contained.join(file)).with_context(|| format!("no {file}"))?;
            }
            unwinder(debian, contained)
        }
    }
}

fn copy(from: &Path, files: &[&str], to: &Path) -> Result<()> {
    for file in files {
        fs::copy(from.join(file), to.join(file)).with_context(|| format!("{} has no {file}", from.display()))?;
    }
    Ok(())
}

/// Where musl is installed: its compiler says of a program what that begins with.
fn musl() -> Result<PathBuf> {
    let linked = Command::new(MUSL_CC).args(["-###", "-x", "c", "/dev/null"]).stdin(Stdio::null()).output();
    let linked = linked.with_context(|| format!("there is no {MUSL_CC} (on Debian: apt-get install musl-tools)"))?;
    let said = String::from_utf8_lossy(&linked.stderr).into_owned();
    let begins =
        said.split_whitespace().map(|word| Path::new(word.trim_matches('"'))).find(|word| word.ends_with("Scrt1.o"));
    let directory = begins.and_then(Path::parent).map(Path::to_owned);
    directory.with_context(|| format!("{MUSL_CC} does not say where musl is"))
}

fn of_the_compiler(file: &str) -> Result<PathBuf> {
    let asked = Command::new("cc").arg(format!("-print-file-name={file}")).stdin(Stdio::null()).output();
    let said = String::from_utf8(asked.context("there is no C compiler")?.stdout).context("cc does not speak UTF-8")?;
    let path = PathBuf::from(said.trim());
    // What it does not have it repeats.
    if path.is_absolute() { Ok(path) } else { bail!("the C compiler has no {file}") }
}

/// What walks up a stack when something panics; with the functions that C compilers call for what a processor may lack, which std brings where it
/// comes with the toolchain.
fn unwinder(debian: &Debian, contained: &Path) -> Result<()> {
    let work = contained.join("unwinder");
    fs::create_dir(&work)?;
    fs::copy(debian.unwinder()?, work.join("llvm.a")).context("cannot copy the unwinder")?;
    fs::copy(of_the_compiler("libgcc.a")?, work.join("gcc.a")).context("cannot copy the library of the C compiler")?;
    fs::write(work.join("printing.c"), CHECKED_PRINTING)?;
    quietly(Command::new(MUSL_CC).args(["-O2", "-fPIC", "-c", "printing.c"]).current_dir(&work))?;
    fs::write(
        work.join("script"),
        "create ../libunwind.a\naddlib llvm.a\naddlib gcc.a\naddmod printing.o\nsave\nend\n",
    )?;
    reading(Command::new("ar").arg("-M").current_dir(&work), File::open(work.join("script"))?)?;
    fs::remove_dir_all(work)?;
    Ok(())
}
