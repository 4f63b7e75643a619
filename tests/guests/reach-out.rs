//! Opens files, sockets, environment, arguments and stdin with std, and tells what each try gave.
//! Justification: std reaches nothing but what the table gives; whatever it asks of sockets is refused.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::{env, fs, io};

use agentry::Failure;

#[agentry::agent]
async fn run(port: u16) -> Result<BTreeMap<&'static str, String>, Failure> {
    Ok(BTreeMap::from([
        ("read a file", told(fs::read_to_string("/etc/hostname"))),
        ("list the root", told(fs::read_dir("/").map(Iterator::count))),
        ("list here", told(fs::read_dir(".").map(Iterator::count))),
        ("write a file", told(fs::write("out.txt", "x"))),
        ("environment", format!("{} variables", env::vars_os().count())),
        ("arguments", format!("{} arguments", env::args_os().count())),
        ("stdin", told(io::read_to_string(io::stdin()))),
        ("connect", kind(TcpStream::connect(("127.0.0.1", port)))),
        ("listen", kind(TcpListener::bind(("127.0.0.1", 0)))),
        ("datagram", kind(UdpSocket::bind(("127.0.0.1", 0)))),
        ("look up", kind(("localhost", port).to_socket_addrs().map(Iterator::count))),
    ]))
}

fn told<T: Debug, E>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(_) => "refused".into(),
    }
}

fn kind<T: Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?}", error.kind()),
    }
}
