//! Debian's package, written without its tools (deb(5)): the command, its pages, and a unit that stands ready and is not started.

use anyhow::Result;

use super::archive::{self, Entry};
use super::binary::Binary;
use super::contents::{Contents, MIT, THIRD_PARTY, UNIT};
use super::elf::Needs;
use super::{Artifact, LICENCE, NAME, SUMMARY};
use crate::workspace::read;

/// Makes the user of the unit where systemd is.
const USERS: &str = "u agentry - \"Agentry\" /var/lib/agentry\n";

/// Without systemd nobody needs the user, and there is nothing to tell.
const AFTER_INSTALL: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = configure ] && command -v systemd-sysusers > /dev/null; then
    systemd-sysusers agentry.conf
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
";

/// A host is not left running whose binary has gone. An upgrade leaves it to the admin when a host begins anew.
const BEFORE_REMOVAL: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now agentry.service
fi
";

/// The home stays, also when all is purged: it holds what agents did, and keys.
const AFTER_REMOVAL: &str = "\
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
";

/// Packs it.
pub fn pack(contents: &Contents, binary: &Binary) -> Result<Artifact> {
    let (processor, _) = binary.processor()?;
    let files = files(contents, binary)?;
    // dpkg makes its sums of the files by itself.
    let control = [
        Entry::file("control", control(binary, processor, &files)),
        Entry::program("postinst", AFTER_INSTALL),
        Entry::program("prerm", BEFORE_REMOVAL),
        Entry::program("postrm", AFTER_REMOVAL),
    ];
    let seconds = contents.seconds;
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", archive::gz(&archive::tar(&control, true, seconds)?)?),
        ("data.tar.gz", archive::gz(&archive::tar(&files, true, seconds)?)?),
    ];
    let name = format!("{NAME}_{}_{processor}.deb", binary.version);
    Ok(Artifact { name, bytes: archive::ar(&members, seconds) })
}

fn files(contents: &Contents, binary: &Binary) -> Result<Vec<Entry>> {
    let mut files = vec![
        Entry::program(format!("usr/bin/{NAME}"), binary.bytes.clone()),
        Entry::file(format!("usr/lib/systemd/system/{NAME}.service"), UNIT),
        Entry::file(format!("usr/lib/sysusers.d/{NAME}.conf"), USERS),
        Entry::file(format!("usr/share/doc/{NAME}/copyright"), copyright()?),
    ];
    // The first of our own is on every Debian, the second stands in `copyright`.
    for entry in contents.terms.iter().filter(|entry| entry.path == THIRD_PARTY) {
        files.push(Entry::file(format!("usr/share/doc/{NAME}/{}.gz", entry.path), archive::gz(&entry.bytes)?));
    }
    for entry in &contents.share {
        files.push(if entry.path.starts_with("share/man/") {
            Entry::file(format!("usr/{}.gz", entry.path), archive::gz(&entry.bytes)?)
        } else if let Some(name) = entry.path.strip_prefix("share/zsh/site-functions/") {
            Entry::file(format!("usr/share/zsh/vendor-completions/{name}"), entry.bytes.clone())
        } else {
            entry.below("usr/")
        });
    }
    Ok(files)
}

fn control(binary: &Binary, processor: &str, files: &[Entry]) -> String {
    let depends = match &binary.needs {
        Needs::Nothing => String::new(),
        Needs::Glibc { minor, libraries } => {
            let unwinding = if libraries.iter().any(|library| library == "libgcc_s.so.1") { ", libgcc-s1" } else { "" };
            format!("Depends: libc6 (>= 2.{minor}){unwinding}\n")
        }
    };
    let kilobytes = files.iter().map(|file| file.bytes.len().div_ceil(1024)).sum::<usize>();
    format!(
        "Package: {NAME}\nVersion: {}\nArchitecture: {processor}\nMaintainer: The authors of Agentry <agentry@localhost>\n\
         Installed-Size: {kilobytes}\n{depends}Recommends: ca-certificates\nSection: utils\nPriority: optional\n\
         Description: {SUMMARY}\n Runs agents that strangers wrote, each one WebAssembly component, with what a policy\n \
         grants and a budget holds, and with nothing else. Each call passes one gate and is\n written to a journal.\n",
        binary.version
    )
}

fn copyright() -> Result<String> {
    let mit = read(MIT)?;
    Ok(format!(
        "{NAME}: {SUMMARY}\n\nCopyright: the authors of Agentry\nLicence: {LICENCE}; the first is in /usr/share/common-licenses/Apache-2.0\n\
         The terms of what is built in are in {THIRD_PARTY}.gz.\n\n{mit}"
    ))
}
