//! Entry points of an agent that is installed: a command of its own, and an entry in the menu of a desktop. Each is `agentry run` in the home that
//! it was made in and may do no more than that. None takes the place of anything but an entry point of the same agent.

use std::env;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use agentry_kernel::manifest::Manifest;
use agentry_packages::Fault;
use anyhow::{Context, Result};
use etcetera::BaseStrategy;
use rustix::fs::Access;
use serde_json::{Value, json};

use crate::commands::run::words::{self, Needs};
use crate::home::Home;
use crate::screen::text;

/// What is read of a file to see whose it is: more than an entry point has.
const READ_MAX_BYTES: u64 = 16 * 1024;

/// Tells the command that it was started where nobody typed anything.
const FROM_MENU: &str = "--from-a-menu";

/// Where they lie, of one agent.
struct Places {
    command: PathBuf,
    menu: PathBuf,
}

/// What an agent is started by.
pub struct Entry {
    places: Places,
    script: String,
    /// None if a line of text is too little for it.
    menu: Option<String>,
}

impl Places {
    fn of(agent: &str) -> Result<Self> {
        let place = || Some((etcetera::home_dir().ok()?, etcetera::choose_base_strategy().ok()?.data_dir()));
        let (home, data) = place().context("cannot tell where your own programs are\nhint: set HOME")?;
        let menu = data.join("applications").join(format!("agentry-{agent}.desktop"));
        Ok(Self { command: home.join(".local/bin").join(agent), menu })
    }
}

impl Entry {
    /// Those of this agent in this home. Nothing is written.
    ///
    /// # Errors
    /// If something else has the name of the command, or lies where it or its entry in the menu would.
    pub fn of(home: &Home, manifest: &Manifest) -> Result<Self> {
        let agent = manifest.agent();
        let places = Places::of(agent)?;
        let whole = whole(home)?;
        for place in [&places.command, &places.menu] {
            if fs::symlink_metadata(place).is_ok() && !is_of(place, agent, &whole) {
                let hint = "run it by `agentry run`, or move that file away";
                return Err(
                    Fault::usage(format!("{} is there already and is something else", shown(place)), hint).into()
                );
            }
        }
        if let Some(other) = other_command(agent, &places.command) {
            let message = format!("there is a command `{agent}` already: {}", shown(&other));
            return Err(Fault::usage(message, "leave --bin out: no agent takes the place of a command").into());
        }
        let program = env::current_exe().context("cannot find this program")?;
        let program = program.to_str().context("this program lies where no text names it")?;
        let needs = words::needs(manifest);
        let script = script(agent, &whole, program, needs);
        let menu = (needs != Needs::More).then(|| menu(manifest, &whole, &places.command));
        Ok(Self { places, script, menu })
    }

    /// Writes them, each whole or not at all, and says where.
    pub fn place(&self) -> Result<Value> {
        write(&self.places.command, &self.script, 0o755)?;
        if let Some(menu) = &self.menu {
            write(&self.places.menu, menu, 0o644)?;
        }
        let menu = self.menu.is_some().then(|| shown(&self.places.menu));
        Ok(json!({"command": shown(&self.places.command), "menu": menu}))
    }

    /// What there is now, in lines for a person.
    pub fn page(&self) -> String {
        let mut page = format!("  its command: {}\n", shown(&self.places.command));
        page.push_str(&match &self.menu {
            Some(_) => format!("  its entry in the menu: {}\n", shown(&self.places.menu)),
            None => "  no entry in the menu: what it needs is more than one text\n".to_owned(),
        });
        let directory = self.places.command.parent();
        let is_searched =
            env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|one| directory == Some(&one)));
        if let Some(directory) = directory.filter(|_| !is_searched) {
            page.push_str(&format!(
                "  your shell does not look there yet: export PATH={}:$PATH\n",
                text::word(directory.display())
            ));
        }
        page
    }
}

/// Takes away what was made for an agent of this home; what is somebody else's stays.
pub fn remove(home: &Home, agent: &str) -> Result<()> {
    let (places, whole) = (Places::of(agent)?, whole(home)?);
    for place in [&places.command, &places.menu] {
        if is_of(place, agent, &whole) {
            fs::remove_file(place).with_context(|| format!("cannot take {} away", shown(place)))?;
        }
    }
    Ok(())
}

/// The home as it is named from anywhere.
fn whole(home: &Home) -> Result<String> {
    let path = home.path().canonicalize().with_context(|| format!("cannot find {}", shown(home.path())))?;
    let whole = path.to_str().filter(|path| !path.chars().any(char::is_control)).map(str::to_owned);
    whole.with_context(|| format!("{} cannot stand in a script\nhint: move the home", shown(&path)))
}

/// The line by which an entry point says whose it is.
fn mark(agent: &str, home: &str) -> String {
    format!("# agentry run {agent}, of the home {home}")
}

/// Whether this file was made for this agent of this home.
fn is_of(place: &Path, agent: &str, home: &str) -> bool {
    let is_file = fs::symlink_metadata(place).is_ok_and(|is| is.is_file());
    let mut text = String::new();
    let mut read = || fs::File::open(place).and_then(|file| file.take(READ_MAX_BYTES).read_to_string(&mut text));
    is_file && read().is_ok() && text.lines().any(|line| line == mark(agent, home))
}

/// A program of this name that a shell would find, and that is not this file.
fn other_command(name: &str, own: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let places = env::split_paths(&path).map(|directory| directory.join(name));
    places
        .filter(|place| place != own && place.is_file())
        .find(|place| rustix::fs::access(place, Access::EXEC_OK).is_ok())
}

/// A text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn script(agent: &str, home: &str, program: &str, needs: Needs) -> String {
    let (mark, program, at) = (mark(agent, home), quoted(program), quoted(home));
    let asks = match needs {
        Needs::Nothing | Needs::More => String::new(),
        Needs::Text => format!("printf '%s: ' {agent}\nread -r text\n[ -z \"$text\" ] || set -- -- \"$text\"\n"),
    };
    format!(
        r#"#!/bin/sh
{mark}
program={program}
[ -x "$program" ] || program=agentry
if [ "${{1-}}" != {FROM_MENU} ]; then
    exec "$program" run --home {at} {agent} "$@"
fi
# A window of its own: it asks for what the agent is told, and stays until that is read.
shift
{asks}"$program" run --home {at} {agent} "$@"
printf '\n[Enter closes this window] '
read -r _
"#
    )
}

/// As the Desktop Entry Specification has it (<https://specifications.freedesktop.org/desktop-entry-spec/latest/>); readers that know 1.0 know all of it.
fn menu(manifest: &Manifest, home: &str, command: &Path) -> String {
    let agent = manifest.agent();
    let does = text::line(&manifest.description).replace('\\', r"\\");
    let mut exec = String::new();
    for char in shown(command).chars() {
        match char {
            // Quoted once for the command and once for the file.
            '"' | '`' | '$' => exec.extend([r"\\", char.encode_utf8(&mut [0; 4])]),
            '\\' => exec.push_str(r"\\\\"),
            '%' => exec.push_str("%%"),
            _ => exec.push(char),
        }
    }
    let mark = mark(agent, home);
    format!(
        "[Desktop Entry]\n{mark}\nVersion=1.0\nType=Application\nName={agent}\nComment={does}\nExec=\"{exec}\" {FROM_MENU}\nTerminal=true\nCategories=Utility;\n"
    )
}

fn write(place: &Path, text: &str, mode: u32) -> Result<()> {
    let failed = || format!("cannot write {}", shown(place));
    let directory = place.parent().with_context(failed)?;
    fs::create_dir_all(directory).with_context(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(directory).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.as_file().set_permissions(Permissions::from_mode(mode)).with_context(failed)?;
    file.persist(place).with_context(failed)?;
    Ok(())
}

fn shown(path: &Path) -> String {
    text::line(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_one_word() {
        assert_eq!(quoted("/srv/o'brien/it is $HOME"), r"'/srv/o'\''brien/it is $HOME'");
    }
}
