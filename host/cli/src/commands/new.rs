//! `agentry new`: makes the crate of a new agent, ready to build; of one that calls a server of the Model Context Protocol by asking it what it has.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use ipnet::IpNet;

use crate::author::{mcp, template};
use crate::home::HomeArgs;
use crate::screen::{self, text};

/// Makes the crate of a new agent.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry new greeter
  cd greeter && agentry build && agentry inspect greeter.wasm
  agentry new tickets --mcp https://mcp.example.org/mcp --tool find --tool read   # two tools of an MCP server")]
pub struct Args {
    /// The agent's name: lowercase letters, digits and `-`
    name: String,
    /// Where the crate goes [default: a directory of that name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Make the tools of the MCP server at this address a package: it is asked for them now, and no others are ever called
    #[arg(long, value_name = "URL")]
    mcp: Option<String>,
    /// Of its tools this one; several times for several [default: all]
    #[arg(long, value_name = "NAME", requires = "mcp")]
    tool: Vec<String>,
    /// The secret of agentry.toml that says who asks; the package names it, too
    #[arg(long, value_name = "HANDLE", requires = "mcp")]
    secret: Option<String>,
    /// Where the server may be though that is not public: a network or an address; several times for several
    #[arg(long, value_name = "CIDR", requires = "mcp", value_parser = network)]
    network: Vec<IpNet>,
    #[command(flatten)]
    home: HomeArgs,
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| address()).map_err(|_| "no network: write 10.1.0.0/16 or 127.0.0.1".to_owned())
}

/// Does it.
pub fn run(args: Args) -> Result<ExitCode> {
    template::check(&args.name)?;
    let directory = args.dir.unwrap_or_else(|| PathBuf::from(&args.name));
    let Some(url) = args.mcp else {
        if args.home.is_named() {
            bail!(
                "a crate needs no home\nhint: leave --home out, or name a server that it has a secret for: --mcp URL"
            );
        }
        template::write(&args.name, &directory, &template::question(&args.name))?;
        return made(&directory, "the agent is src/lib.rs, what it asks for is agent.toml");
    };
    // Nobody is asked for what could not be written.
    template::is_free(&directory)?;
    let asking = mcp::Asking { url: &url, secret: args.secret.as_deref(), tools: &args.tool, networks: &args.network };
    let found = mcp::ask(args.home.existing()?.path(), &asking)?;
    template::write(&args.name, &directory, &found.files(&args.name)?)?;
    let tools = text::line(&found.tools().collect::<Vec<_>>().join(", "));
    made(
        &directory,
        &format!("its tools are {tools}, as tools.json has them; read agent.toml, its words are the server's"),
    )
}

fn made(directory: &Path, what: &str) -> Result<ExitCode> {
    let shown = text::line(&directory.display().to_string());
    screen::print(&format!("made {shown}: {what}\nnext: agentry build {}\n", text::word(directory.display())))?;
    Ok(ExitCode::SUCCESS)
}
