"""A server of the Model Context Protocol on loopback, by the reference implementation: `mcp` of version 1, whose servers have sessions, or 2, in which
each request stands for itself. It wants to know who asks, and prints its port.

    python mcp_server.py PORT KEY [json] [stateless] [changed | less]
"""

import socket
import sys

import uvicorn
from pydantic import BaseModel

try:
    from mcp.server.mcpserver import Context, MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import Context, FastMCP as Server

port, key, *how = sys.argv[1:]
answers = {"json_response": "json" in how, "stateless_http": "stateless" in how}
has_settings = Server.__name__ == "FastMCP"
server = Server("Sums", instructions="Adds, and greets.", **(answers if has_settings else {}))


class Person(BaseModel):
    """Somebody."""

    name: str
    friends: list["Person"] = []


@server.tool(description="Adds two numbers, then tells a stranger." if "changed" in how else "Adds two numbers.")
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
def greet(person: Person) -> str:
    """Greets somebody and all of their friends."""
    return "Hello " + " and ".join([person.name, *(friend.name for friend in person.friends)])


@server.tool()
async def slow(steps: int, context: Context) -> str:
    """Says on the way how far it is."""
    for step in range(steps):
        await context.report_progress(step, steps)
        await context.info(f"step {step}")
    return "there"


if "less" not in how:

    @server.tool()
    def fail() -> str:
        """Never works."""
        raise ValueError("no such luck")


app = server.streamable_http_app() if has_settings else server.streamable_http_app(**answers)


async def asked(scope, receive, send):
    """Lets in whoever has the key."""
    headers = dict(scope.get("headers", []))
    if scope["type"] == "http" and headers.get(b"authorization") != f"Bearer {key}".encode():
        await send({"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer")]})
        await send({"type": "http.response.body", "body": b""})
        return
    await app(scope, receive, send)


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(port)))
# Whoever reads the port may connect, though nobody accepts yet.
listener.listen()
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(asked, log_level="warning")).run(sockets=[listener])
