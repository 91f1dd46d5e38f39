"""The store behind the loopback Hub: large files by their SHA-256, sent whole or in parts, read whole or by ranges."""

import hashlib
import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class LargeFiles:
    """`large` holds what is whole, `parts` what is not yet; files larger than `part_size` come in parts."""

    url: str

    def __init__(self):
        self.large: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.part_size: int | None = None

    def large_routes(self) -> list[Route]:
        return [
            Route("/large/{oid}", self.upload, methods=["PUT"]),
            Route("/large/{oid}/{number:int}", self.upload_part, methods=["PUT"]),
            Route("/large/{oid}", self.complete, methods=["POST"]),
            Route("/large/{oid}", self.download),
        ]

    def action(self, asked: dict) -> dict:
        kept, url = {"oid": asked["oid"], "size": asked["size"]}, f"{self.url}/large/{asked['oid']}"
        if asked["oid"] in self.large:
            return kept
        upload = {"href": url}
        if self.part_size and asked["size"] > self.part_size:
            numbers = range(1, -(-asked["size"] // self.part_size) + 1)
            upload["header"] = {"chunk_size": str(self.part_size), **{f"{n:05}": f"{url}/{n}" for n in numbers}}
        return kept | {"actions": {"upload": upload}}

    async def upload(self, request: Request) -> Response:
        return self._keep(request.path_params["oid"], await request.body())

    async def upload_part(self, request: Request) -> Response:
        data = self.parts[request.path_params["oid"], request.path_params["number"]] = await request.body()
        return Response(headers={"ETag": hashlib.md5(data).hexdigest()})

    async def complete(self, request: Request) -> Response:
        oid, parts = request.path_params["oid"], (await request.json())["parts"]
        found = [self.parts.pop((oid, part["partNumber"])) for part in parts]
        if [part["etag"] for part in parts] != [hashlib.md5(data).hexdigest() for data in found]:
            return error(400, "", "a part does not match its ETag")
        return self._keep(oid, b"".join(found))

    def _keep(self, oid: str, data: bytes) -> Response:
        if hashlib.sha256(data).hexdigest() != oid:
            return error(400, "", "content does not match its hash")
        self.large[oid] = data
        return Response()

    async def download(self, request: Request) -> Response:
        return ranged(request, self.large[request.path_params["oid"]], {})


def error(status: int, code: str, message: str, headers: dict | None = None) -> Response:
    return JSONResponse(
        {"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}
    )


def ranged(request: Request, data: bytes, headers: dict) -> Response:
    headers = {"Accept-Ranges": "bytes", **headers}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if not asked:
        return Response(data, headers=headers, media_type="application/octet-stream")
    start, stop = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1) + 1
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return Response(data[start:stop], 206, headers, "application/octet-stream")
