"""The documents of GitHub's published description, with plausible constants where a bot does not look."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .github_state import RIGHTS, Comment, Issue, Label, Pull, Repository, User
from .repository import Commit
from .serving import instant

Document = dict[str, Any]

_USER_LINKS = {
    "followers": "followers",
    "following": "following{/other_user}",
    "gists": "gists{/gist_id}",
    "starred": "starred{/owner}{/repo}",
    "subscriptions": "subscriptions",
    "organizations": "orgs",
    "repos": "repos",
    "events": "events{/privacy}",
    "received_events": "received_events",
}
_REPOSITORY_LINKS = {
    "archive": "{archive_format}{/ref}",
    "assignees": "assignees{/user}",
    "blobs": "git/blobs{/sha}",
    "branches": "branches{/branch}",
    "collaborators": "collaborators{/collaborator}",
    "comments": "comments{/number}",
    "commits": "commits{/sha}",
    "compare": "compare/{base}...{head}",
    "contents": "contents/{+path}",
    "contributors": "contributors",
    "deployments": "deployments",
    "downloads": "downloads",
    "events": "events",
    "forks": "forks",
    "git_commits": "git/commits{/sha}",
    "git_refs": "git/refs{/sha}",
    "git_tags": "git/tags{/sha}",
    "hooks": "hooks",
    "issue_comment": "issues/comments{/number}",
    "issue_events": "issues/events{/number}",
    "issues": "issues{/number}",
    "keys": "keys{/key_id}",
    "labels": "labels{/name}",
    "languages": "languages",
    "merges": "merges",
    "milestones": "milestones{/number}",
    "notifications": "notifications{?since,all,participating}",
    "pulls": "pulls{/number}",
    "releases": "releases{/id}",
    "stargazers": "stargazers",
    "statuses": "statuses/{sha}",
    "subscribers": "subscribers",
    "subscription": "subscription",
    "tags": "tags",
    "teams": "teams",
    "trees": "git/trees{/sha}",
}
_COUNTS = ("forks", "open_issues", "watchers")
_HAS = ("projects", "wiki", "pages", "discussions", "downloads")


def _node(kind: str, number: int) -> str:
    return f"{kind}_{number:08d}"


class Documents:
    """Writes documents whose links begin with ``api``, where clients ask, and ``git``, where they clone."""

    def __init__(self, api: str, git: str) -> None:
        self.api = api
        self.git = git

    def user(self, user: User) -> Document:
        url = f"{self.api}/users/{user.login}"
        return {
            "login": user.login,
            "id": user.number,
            "node_id": _node("U", user.number),
            "avatar_url": f"{self.api}/avatars/{user.number}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.api}/{user.login}",
            **{f"{name}_url": f"{url}/{path}" for name, path in _USER_LINKS.items()},
            "type": user.kind,
            "site_admin": False,
        }

    def account(self, user: User, since: str) -> Document:
        """The user whose token is used."""
        about = dict.fromkeys(("company", "location", "hireable", "bio"))
        counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
        private = ("private_gists", "total_private_repos", "owned_private_repos", "disk_usage", "collaborators")
        return {
            **self.user(user),
            "user_view_type": "private",
            "name": user.name or None,
            "email": user.email or None,
            "blog": "",
            **about,
            **counts,
            **dict.fromkeys(private, 0),
            "two_factor_authentication": True,
            "created_at": since,
            "updated_at": since,
        }

    def repository_url(self, repository: Repository) -> str:
        return f"{self.api}/repos/{repository.full_name}"

    def repository(self, repository: Repository, owner: User, login: str) -> Document:
        """A repository within another document, as somebody sees it."""
        url, page = self.repository_url(repository), f"{self.api}/{repository.full_name}"
        clone = f"{self.git}/{repository.full_name}.git"
        created = instant(repository.created)
        return {
            "id": repository.number,
            "node_id": _node("R", repository.number),
            "name": repository.name,
            "full_name": repository.full_name,
            "owner": self.user(owner),
            "private": repository.private,
            "visibility": "private" if repository.private else "public",
            "html_url": page,
            "description": None,
            "fork": repository.parent is not None,
            "url": url,
            **{f"{name}_url": f"{url}/{path}" for name, path in _REPOSITORY_LINKS.items()},
            "git_url": clone,
            "ssh_url": f"git@127.0.0.1:{repository.full_name}.git",
            "clone_url": clone,
            "svn_url": page,
            "mirror_url": None,
            "homepage": None,
            "language": "Python",
            "license": None,
            "size": 1,
            "default_branch": repository.default_branch,
            **dict.fromkeys(_COUNTS, 0),
            **{f"{name}_count": 0 for name in (*_COUNTS, "stargazers")},
            "has_issues": repository.has_issues,
            **{f"has_{name}": False for name in _HAS},
            "archived": repository.archived,
            "disabled": False,
            "pushed_at": created,
            "created_at": created,
            "updated_at": created,
            "permissions": {right: repository.may(login, right) for right in RIGHTS},
        }

    def label(self, repository: Repository, label: Label) -> Document:
        return {
            "id": label.number,
            "node_id": _node("LA", label.number),
            "url": f"{self.repository_url(repository)}/labels/{quote(label.name, safe='')}",
            "name": label.name,
            "description": label.description,
            "color": label.color,
            "default": False,
        }

    def comment(self, repository: Repository, issue: Issue, comment: Comment, user: User) -> Document:
        url = self.repository_url(repository)
        return {
            "id": comment.number,
            "node_id": _node("IC", comment.number),
            "url": f"{url}/issues/comments/{comment.number}",
            "html_url": f"{self.api}/{repository.full_name}/issues/{issue.number}#issuecomment-{comment.number}",
            "issue_url": f"{url}/issues/{issue.number}",
            "user": self.user(user),
            "body": comment.body,
            "created_at": instant(comment.created),
            "updated_at": instant(comment.updated),
            "author_association": "NONE",
        }

    def thread(self, repository: Repository, thread: Issue, user: User) -> Document:
        """What the documents of an issue and of a pull request have in common."""
        labels = [self.label(repository, repository.labels[name.lower()]) for name in thread.labels]
        return {
            "id": repository.number * 10_000 + thread.number,
            "number": thread.number,
            "state": thread.state,
            "locked": False,
            "title": thread.title,
            "body": thread.body,
            "user": self.user(user),
            "labels": labels,
            "assignee": None,
            "assignees": [],
            "milestone": None,
            "author_association": "OWNER" if thread.user == repository.owner else "NONE",
            "active_lock_reason": None,
            "created_at": instant(thread.created),
            "updated_at": instant(thread.updated),
            "closed_at": thread.closed and instant(thread.closed),
        }

    def issue(self, repository: Repository, issue: Issue, user: User) -> Document:
        """An issue, or a pull request as the issue it is too."""
        root = self.repository_url(repository)
        url, page = f"{root}/issues/{issue.number}", f"{self.api}/{repository.full_name}"
        document = {
            **self.thread(repository, issue, user),
            "node_id": _node("I", issue.number),
            "url": url,
            "repository_url": root,
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "html_url": f"{page}/issues/{issue.number}",
            "comments": len(issue.comments),
            "state_reason": issue.reason,
        }
        if isinstance(issue, Pull):
            document["html_url"] = f"{page}/pull/{issue.number}"
            document["draft"] = issue.draft
            document["pull_request"] = self._pull_of_issue(repository, issue)
        return document

    def _pull_of_issue(self, repository: Repository, pull: Pull) -> Document:
        page = f"{self.api}/{repository.full_name}/pull/{pull.number}"
        return {
            "url": f"{self.repository_url(repository)}/pulls/{pull.number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": pull.merged and instant(pull.merged),
        }

    def pull(self, repository: Repository, pull: Pull, user: User, reviewers: list[User]) -> Document:
        """A pull request as in lists; its two ends are for the caller to add."""
        root = self.repository_url(repository)
        url, issue = f"{root}/pulls/{pull.number}", f"{root}/issues/{pull.number}"
        links = {
            "issue": issue,
            "commits": f"{url}/commits",
            "review_comments": f"{url}/comments",
            "review_comment": f"{root}/pulls/comments{{/number}}",
            "comments": f"{issue}/comments",
            "statuses": f"{root}/statuses/{pull.head_sha}",
        }
        pages = self._pull_of_issue(repository, pull)
        return {
            **self.thread(repository, pull, user),
            **pages,
            "node_id": _node("PR", pull.number),
            **{f"{name}_url": address for name, address in links.items()},
            "_links": {
                "self": {"href": url},
                "html": {"href": pages["html_url"]},
                **{name: {"href": address} for name, address in links.items()},
            },
            "draft": pull.draft,
            "merge_commit_sha": pull.merge_sha,
            "auto_merge": None,
            "requested_reviewers": [self.user(reviewer) for reviewer in reviewers],
            "requested_teams": [],
        }

    def commit(self, repository: Repository, commit: Commit, users: tuple[User | None, User | None]) -> Document:
        """A commit; the users are those whose addresses its author and its committer have."""
        root, page = self.repository_url(repository), f"{self.api}/{repository.full_name}"
        url = f"{root}/commits/{commit.sha}"
        author, committer = (self.user(user) if user else None for user in users)
        return {
            "sha": commit.sha,
            "node_id": f"C_{commit.sha[:10]}",
            "url": url,
            "html_url": f"{page}/commit/{commit.sha}",
            "comments_url": f"{url}/comments",
            "author": author,
            "committer": committer,
            "parents": [{"sha": sha, "url": f"{root}/commits/{sha}"} for sha in commit.parents],
            "commit": {
                "url": f"{root}/git/commits/{commit.sha}",
                "author": _person(commit.author),
                "committer": _person(commit.committer),
                "message": commit.message,
                "comment_count": 0,
                "tree": {"sha": commit.tree, "url": f"{root}/git/trees/{commit.tree}"},
                "verification": {
                    "verified": False,
                    "reason": "unsigned",
                    "signature": None,
                    "payload": None,
                    "verified_at": None,
                },
            },
        }

    def reference(self, repository: Repository, branch: str, sha: str) -> Document:
        root = self.repository_url(repository)
        return {
            "ref": f"refs/heads/{branch}",
            "node_id": f"REF_{sha[:10]}",
            "url": f"{root}/git/refs/heads/{quote(branch)}",
            "object": {"type": "commit", "sha": sha, "url": f"{root}/git/commits/{sha}"},
        }

    def branch(self, repository: Repository, name: str, commit: Document) -> Document:
        url = f"{self.repository_url(repository)}/branches/{quote(name)}"
        return {
            "name": name,
            "commit": commit,
            "_links": {"self": url, "html": f"{self.api}/{repository.full_name}/tree/{quote(name)}"},
            "protected": False,
            "protection": {"enabled": False},
            "protection_url": f"{url}/protection",
        }


def _person(person: tuple[str, str, str]) -> Document:
    return dict(zip(("name", "email", "date"), person, strict=True))
