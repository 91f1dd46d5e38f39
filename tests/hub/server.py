"""A loopback Hub: as much of the API as the real huggingface_hub client uses, in memory, with faults on demand.

Repos with branches, tags and pull requests; pre-upload, LFS (in parts too) and NDJSON commits; info, tree, and files
with ETag, ranges and redirects; private repos, tokens with and without the right to write. Written after the client's
requests (huggingface_hub 2.4 and 0.36) and the documentation of the Hub's API.
"""

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.hub.faults import Fault, Faulty
from tests.hub.large import LargeFiles, error, ranged


DATE = "2026-01-01T00:00:00.000Z"
WRITER, READER, STRANGER = "hf_writer", "hf_reader", "hf_stranger"  # tokens: of the organization, its reader, another


@dataclass
class Commit:
    sha: str
    title: str
    files: dict[str, bytes]
    parent: str | None = None


@dataclass
class Repo:
    id: str
    type: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)  # refs/pr/N

    def commit(self, revision: str, title: str, files: dict[str, bytes], parent: str | None) -> Commit:
        sha = hashlib.sha1(f"{self.type}/{self.id}/{len(self.commits)}".encode()).hexdigest()
        self.commits[sha] = Commit(sha, title, files, parent)
        (self.pulls if revision.startswith("refs/pr/") else self.branches)[revision] = sha
        return self.commits[sha]

    def at(self, revision: str) -> Commit | None:
        for refs in (self.branches, self.tags, self.pulls):
            revision = refs.get(revision, revision)
        return self.commits.get(revision)


class Hub(LargeFiles):
    """Serves on `url` from a thread until `close()`; `requests` lists what was asked for."""

    def __init__(self):
        self.repos: dict[tuple[str, str], Repo] = {}
        super().__init__()
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        routes = [
            Route("/api/whoami-v2", self.whoami),
            Route("/api/validate-yaml", self.validate, methods=["POST"]),
            Route("/api/repos/create", self.create, methods=["POST"]),
            Route("/api/repos/delete", self.delete, methods=["DELETE"]),
            *(Route(f"/api/{type}s", self.listing) for type in ("model", "dataset", "space")),
            Route("/api/{type}/{rest:path}", self.repo_api, methods=["GET", "POST", "DELETE"]),
            *self.large_routes(),
            Route("/{path:path}", self.web, methods=["GET", "POST"]),
        ]
        config = uvicorn.Config(Faulty(Starlette(routes=routes), self), port=0, log_level="error", lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def close(self):
        self.server.should_exit = True
        self.thread.join()

    def files(self, repo_id: str, type: str = "model", revision: str = "main") -> dict[str, bytes]:
        return self.repos[type, repo_id].at(revision).files

    # Who asks, and what for

    def _token(self, request: Request) -> str | None:
        return request.headers.get("authorization", "").removeprefix("Bearer ") or None

    def _find(self, request: Request, type: str, id: str, write: bool = False) -> Repo | Response:
        token, repo = self._token(request), self.repos.get((type, id))
        if not repo or (repo.private and token not in (WRITER, READER)):
            return error(401 if token is None else 404, "RepoNotFound", "Repository not found")
        if write and token != WRITER:
            return error(401 if token is None else 403, "", "You don't have the rights to write to this repo")
        return repo

    async def whoami(self, request: Request) -> Response:
        token = self._token(request)
        if token not in (WRITER, READER, STRANGER):
            return error(401, "", "Invalid user token.")
        role = "read" if token == READER else "write"
        name = "stranger" if token == STRANGER else "ana"
        orgs = [] if token == STRANGER else [{"name": "org", "type": "org", "roleInOrg": role}]
        auth = {"type": "access_token", "accessToken": {"displayName": "t", "role": role}}
        return JSONResponse({"type": "user", "name": name, "orgs": orgs, "auth": auth})

    async def validate(self, request: Request) -> Response:
        return JSONResponse({"errors": [], "warnings": []})

    # Repos

    async def create(self, request: Request) -> Response:
        asked = await request.json()
        token, type = self._token(request), asked.get("type") or "model"
        owner = asked.get("organization") or "ana"
        if token is None:
            return error(401, "", "Invalid username or password.")
        if token == READER or (token == STRANGER and owner != "stranger"):
            return error(403, "", f"You don't have the rights to create a {type} under the namespace {owner!r}")
        id = f"{owner}/{asked['name']}"
        body = {"url": f"{self.url}{_prefix(type)}/{id}", "name": id, "id": id}
        if (type, id) in self.repos:
            return JSONResponse({**body, "error": "You already created this repo"}, 409)
        private = asked.get("private") or asked.get("visibility") == "private"
        repo = self.repos[type, id] = Repo(id, type, bool(private))
        repo.commit("main", "initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"}, None)
        return JSONResponse(body)

    async def delete(self, request: Request) -> Response:
        asked = await request.json()
        type, id = asked.get("type") or "model", f"{asked.get('organization') or 'ana'}/{asked['name']}"
        repo = self._find(request, type, id, write=True)
        if isinstance(repo, Response):
            return repo
        del self.repos[type, id]
        return Response()

    async def listing(self, request: Request) -> Response:
        type = request.url.path.removeprefix("/api/").removesuffix("s")
        repos = [
            r
            for r in self.repos.values()
            if r.type == type and (not r.private or self._token(request) in (WRITER, READER))
        ]
        return JSONResponse([self._info(repo, repo.at("main")) for repo in repos])

    def _info(self, repo: Repo, commit: Commit) -> dict:
        return {
            **{"id": repo.id, "modelId": repo.id, "sha": commit.sha, "private": repo.private, "lastModified": DATE},
            **{"createdAt": DATE, "tags": [], "downloads": 0, "likes": 0, "gated": False, "disabled": False},
            "author": repo.id.split("/")[0],
            "siblings": [self._sibling(name, data) for name, data in sorted(commit.files.items())],
        }

    def _sibling(self, name: str, data: bytes) -> dict:
        oid, sibling = (
            hashlib.sha256(data).hexdigest(),
            {"rfilename": name, "size": len(data), "blobId": _blob_id(data)},
        )
        return sibling | ({"lfs": {"sha256": oid, "size": len(data), "pointerSize": 134}} if oid in self.large else {})

    async def repo_api(self, request: Request) -> Response:
        type = request.path_params["type"].removesuffix("s")
        id, verb, rest = re.fullmatch("([^/]+/[^/]+)(?:/([a-z-]+)/?(.*))?", request.path_params["rest"]).groups()
        verb, rest = verb or "revision", rest or "main"
        is_write = verb in ("preupload", "commit", "branch", "tag")
        repo = self._find(request, type, id, is_write)
        if isinstance(repo, Response):
            return repo
        if verb == "refs":
            refs = {
                name: [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": sha} for n, sha in refs.items()]
                for name, kind, refs in (("branches", "heads", repo.branches), ("tags", "tags", repo.tags))
            }
            return JSONResponse({**refs, "converts": [], "pullRequests": []})
        if verb in ("branch", "tag"):
            return await self._ref(request, repo, verb, rest)
        revision, path = _revision_and_path(repo, rest)
        commit = repo.at(revision)
        if commit is None:
            return error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if verb == "revision":
            return JSONResponse(self._info(repo, commit))
        if verb == "tree":
            is_deep = request.query_params.get("recursive", "").lower() in ("true", "1")
            return JSONResponse(_tree(commit.files, path, is_deep))
        if verb == "paths-info":
            form = await request.form()
            asked = form.getlist("paths") if form else (await request.json())["paths"]
            return JSONResponse([entry for entry in _tree(commit.files, "", True) if entry["path"] in asked])
        if verb == "preupload":
            return JSONResponse({"files": [self._mode(file, commit) for file in (await request.json())["files"]]})
        return await self._commit(request, repo, revision, commit)

    async def _ref(self, request: Request, repo: Repo, kind: str, name: str) -> Response:
        refs = repo.branches if kind == "branch" else repo.tags
        if request.method == "DELETE":
            return Response() if refs.pop(name, None) else error(404, "RevisionNotFound", "no such ref")
        asked = await request.json() if await request.body() else {}
        if kind == "tag":
            name, start = asked["tag"], name
        else:
            start = asked.get("startingPoint", "main")
        if name in refs:
            return error(409, "", f"Reference already exists: {name}")
        commit = repo.at(start)
        if commit is None:
            return error(404, "RevisionNotFound", f"Invalid rev id: {start}")
        refs[name] = commit.sha
        return Response()

    # Commits

    def _mode(self, file: dict, commit: Commit | None = None) -> dict:
        is_large = re.search(r"\.(safetensors|parquet|bin|png)$", file["path"]) or file["size"] > 10 * 2**20
        old = commit and commit.files.get(file["path"])
        return {
            "path": file["path"],
            "uploadMode": "lfs" if is_large else "regular",
            "shouldIgnore": False,
            "oid": None if old is None else hashlib.sha256(old).hexdigest() if is_large else _blob_id(old),
        }

    async def _commit(self, request: Request, repo: Repo, revision: str, parent: Commit) -> Response:
        files, title = dict(parent.files), ""
        for line in (await request.body()).splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                title = value["summary"]
                if value.get("parentCommit", parent.sha) != parent.sha:
                    return error(412, "", "A commit has happened since. Please refresh and try again.")
            elif operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                if value["oid"] not in self.large:
                    return error(422, "", f"LFS pointer pointed to a file that does not exist: {value['path']}")
                files[value["path"]] = self.large[value["oid"]]
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
            elif operation["key"] == "deletedFolder":
                files = {name: data for name, data in files.items() if not name.startswith(value["path"])}
        pull = None
        if request.query_params.get("create_pr") == "1":
            pull = len(repo.pulls) + 1
            revision = f"refs/pr/{pull}"
        commit = repo.commit(revision, title, files, parent.sha)
        url = f"{self.url}{_prefix(repo.type)}/{repo.id}"
        body = {"success": True, "commitOid": commit.sha, "commitUrl": f"{url}/commit/{commit.sha}"}
        return JSONResponse(body | ({"pullRequestUrl": f"{url}/discussions/{pull}"} if pull else {}))

    # Files

    async def web(self, request: Request) -> Response:
        path = request.path_params["path"]
        match = re.fullmatch(r"(datasets/|spaces/)?([^/]+/[^/]+?)(\.git/info/lfs/objects/batch|/resolve/(.+))", path)
        if not match:
            return error(404, "", "Sorry, we can't find the page you are looking for.")
        prefix, id, rest, target = match.groups()
        type = (prefix or "models/")[:-2]
        repo = self._find(request, type, id, write=target is None)
        if isinstance(repo, Response):
            return repo
        if target is None:
            objects = [self.action(asked) for asked in (await request.json())["objects"]]
            return JSONResponse({"transfer": "basic", "objects": objects})
        revision, name = _revision_and_path(repo, target)
        commit = repo.at(revision)
        if commit is None:
            return error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if name not in commit.files:
            return error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit.sha})
        data = commit.files[name]
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{_blob_id(data)}"'}
        oid = hashlib.sha256(data).hexdigest()
        if self.large.get(oid) == data and self._mode({"path": name, "size": len(data)})["uploadMode"] == "lfs":
            headers |= {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{oid}"'}
            return RedirectResponse(f"{self.url.replace('127.0.0.1', 'localhost')}/large/{oid}", 302, headers)  # a CDN
        return ranged(request, data, headers)


def _prefix(type: str) -> str:
    return "" if type == "model" else f"/{type}s"


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _revision_and_path(repo: Repo, rest: str) -> tuple[str, str]:
    """Of `refs/pr/1/config.json`, `main/config.json`, or a branch with slashes."""
    for name in (*repo.pulls, *repo.branches, *repo.tags):
        if rest == name or rest.startswith(name + "/"):
            return name, rest[len(name) + 1 :]
    revision, _, path = rest.partition("/")
    return revision, path


def _tree(files: dict[str, bytes], folder: str, is_deep: bool) -> list[dict]:
    prefix, entries = f"{folder}/" if folder else "", {}
    for path, data in sorted(files.items()):
        if path.startswith(prefix):
            inside = path[len(prefix) :].split("/")
            for depth in range(1, len(inside) if is_deep else min(len(inside), 2)):
                name = prefix + "/".join(inside[:depth])
                entries[name] = {"type": "directory", "oid": _blob_id(name.encode()), "size": 0, "path": name}
            if len(inside) == 1 or is_deep:
                entries[path] = {"type": "file", "oid": _blob_id(data), "size": len(data), "path": path}
    return list(entries.values())
