//! What goes over the control socket: hello, requests, replies, and the frames around them. It reads no more than it was told to.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Two processes understand each other if they have the same; raise it with every change of what goes over the socket.
pub(super) const PROTOCOL: u16 = 12;

/// A hello is short.
pub(super) const HELLO_MAX_BYTES: usize = 256;

/// Bytes of a frame's length.
pub(super) const LENGTH_BYTES: usize = 4;

/// The first frame in each direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u16,
    pub(super) version: String,
}

impl Hello {
    pub(super) fn ours() -> Self {
        Self { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// A value as a frame.
pub(super) fn frame(value: &impl Serialize, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LENGTH_BYTES];
    bytes = postcard::to_extend(value, bytes).map_err(io::Error::other)?;
    let length = bytes.len().saturating_sub(LENGTH_BYTES);
    let head = u32::try_from(length).ok().filter(|_| length <= max).ok_or_else(|| too_long(length))?;
    if let Some(place) = bytes.first_chunk_mut::<LENGTH_BYTES>() {
        *place = head.to_le_bytes();
    }
    Ok(bytes)
}

/// The length of the frame that begins so.
pub(super) fn length(head: [u8; LENGTH_BYTES], max: usize) -> io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(head)).unwrap_or(usize::MAX);
    if length > max { Err(too_long(length)) } else { Ok(length) }
}

/// The value in a frame; nothing may stand behind it.
pub(super) fn value<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a frame makes no sense")),
    }
}

/// Sends a value.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), value: &impl Serialize, max: usize) -> io::Result<()> {
    stream.write_all(&frame(value, max)?).await?;
    stream.flush().await
}

/// Receives a value.
pub(super) async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<T> {
    let mut head = [0; LENGTH_BYTES];
    stream.read_exact(&mut head).await?;
    let length = length(head, max)?;
    // Room grows with what really comes, not with what a frame says of itself.
    let mut bytes = Vec::new();
    stream.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    value(&bytes)
}

fn too_long(length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes is too long"))
}
