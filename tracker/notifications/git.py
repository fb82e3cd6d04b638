"""A comment at an issue, pull request or merge request of GitHub or GitLab."""

import json
import os
from urllib.parse import quote

from tracker.errors import InvalidRequest
from tracker.notifications.message import Channel, Message
from tracker.notifications.params import Params, needed, only
from tracker.notifications.web import request, url_of


def comment(params: Params) -> Channel:
    """`repo` (owner/name), `issue` or `merge_request` (number), `token`; `gitlab` for GitLab; `server` for one of your own.

    The token of the environment (GITHUB_TOKEN or GIT_TOKEN) is taken when the parameters hold none.
    """
    only(params, "repo", "issue", "merge_request", "token", "gitlab", "server")
    repo, gitlab = str(needed(params, "repo")), bool(params.get("gitlab"))
    number = str(needed(params, "issue", optional=("merge_request",)))
    token = str(params.get("token") or os.environ.get("GITHUB_TOKEN") or os.environ.get("GIT_TOKEN") or "")
    if not number.isdigit():
        raise InvalidRequest(f"its issue is a number, not {number!r}", field="params")
    if not token.isprintable() or not token:
        raise InvalidRequest("it needs the parameter 'token', in secret_params", field="params")
    server = str(params.get("server") or ("gitlab.com" if gitlab else "api.github.com"))
    base = url_of(server if "://" in server else f"https://{server}").rstrip("/")
    if gitlab:
        what = "merge_requests" if params.get("merge_request") else "issues"
        url, headers = f"{base}/api/v4/projects/{quote(repo, safe='')}/{what}/{number}/notes", {"PRIVATE-TOKEN": token}
    else:
        url = f"{base}/repos/{quote(repo)}/issues/{number}/comments"
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json", "User-Agent": "run-tracker"}

    def send(message: Message) -> None:
        request(url, json.dumps({"body": f"**{message.title}**\n\n{message.text}"}).encode(), headers=headers)

    return send
