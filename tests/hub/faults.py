"""What goes wrong on demand between a client and the loopback Hub."""

import re
from dataclasses import dataclass, field

from starlette.responses import Response


@dataclass
class Fault:
    """What happens to the next `times` requests whose "METHOD path" matches.

    They are answered with `status`, `headers` and `body`; or, where the status is None, the connection is cut, with
    `is_done` after what was asked for has been done.
    """

    pattern: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    is_done: bool = False
    body: bytes = b"fault"


async def _nowhere(message):
    """Where a lost answer goes."""


class Faulty:
    """Answers with the Hub's faults in place of the application."""

    def __init__(self, app, hub):
        self.app, self.hub = app, hub

    async def __call__(self, scope, receive, send):
        asked = f"{scope['method']} {scope['path']}"
        self.hub.requests.append(asked)
        for fault in self.hub.faults:
            if fault.times and re.search(fault.pattern, asked):
                fault.times -= 1
                return await self._fail(fault, scope, receive, send)
        await self.app(scope, receive, send)

    async def _fail(self, fault: Fault, scope, receive, send):
        if fault.status:
            return await Response(fault.body, fault.status, fault.headers)(scope, receive, send)
        if fault.is_done:
            await self.app(scope, receive, _nowhere)
        else:
            await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000000")]})
        await send({"type": "http.response.body", "body": b"cut", "more_body": True})
        raise ConnectionResetError("the loopback Hub cuts this connection")
