"""The documents of GitLab's REST interface as its manual gives them, with constants where a bot does not look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .gitlab_state import Issue, MergeRequest, Note, Project, User
from .repository import Commit
from .serving import instant

Document = dict[str, Any]


class Documents:
    """Writes documents whose links begin with ``web`` and, where a project is cloned from, ``git``."""

    def __init__(self, web: str, git: str, user: Callable[[str], User]) -> None:
        self.web = web
        self.git = git
        self._user = user

    def user(self, login: str | None) -> Document | None:
        if login is None:
            return None
        user = self._user(login)
        return {
            "id": user.number,
            "username": user.login,
            "name": user.name,
            "state": "active",
            "locked": False,
            "avatar_url": None,
            "web_url": f"{self.web}/{user.login}",
        }

    def account(self, login: str) -> Document:
        """The user whose token is used."""
        address = self._user(login).email
        return {**(self.user(login) or {}), "email": address, "commit_email": address, "bot": False, "two_factor": True}

    def basic_project(self, project: Project) -> Document:
        """A project within another document."""
        return {
            "id": project.number,
            "description": None,
            "name": project.name,
            "name_with_namespace": project.path.replace("/", " / "),
            "path": project.name,
            "path_with_namespace": project.path,
            "created_at": instant(project.created),
            "default_branch": project.default_branch,
            "tag_list": [],
            "topics": [],
            "ssh_url_to_repo": f"git@127.0.0.1:{project.path}.git",
            "http_url_to_repo": f"{self.git}/{project.path}.git",
            "web_url": f"{self.web}/{project.path}",
            "readme_url": None,
            "avatar_url": None,
            "forks_count": 0,
            "star_count": 0,
            "last_activity_at": instant(project.created),
            "namespace": {
                "id": project.number * 100,
                "name": project.namespace,
                "path": project.namespace,
                "kind": "group",
                "full_path": project.namespace,
            },
        }

    def project(self, project: Project, parent: Project | None, login: str) -> Document:
        """A project on its own, as somebody sees it."""
        level = project.members.get(login)
        access = {"access_level": level, "notification_level": 3} if level else None
        document = {
            **self.basic_project(project),
            "archived": project.archived,
            "visibility": "public",
            "empty_repo": not project.git.branches(),
            "issues_enabled": True,
            "merge_requests_enabled": True,
            "issues_access_level": "enabled",
            "merge_requests_access_level": "enabled",
            "forking_access_level": "enabled",
            "can_create_merge_request_in": True,
            "import_status": "finished" if parent else "none",
            "merge_method": "merge",
            "remove_source_branch_after_merge": True,
            "open_issues_count": sum(issue.state == "opened" for issue in project.issues.values()),
            "permissions": {"project_access": access, "group_access": None},
        }
        if parent:
            document["forked_from_project"] = self.basic_project(parent)
        return document

    def _thread(self, project: Project, thread: Issue, kind: str, mark: str) -> Document:
        short = f"{mark}{thread.number}"
        return {
            "id": project.number * 10_000 + thread.number,
            "iid": thread.number,
            "project_id": project.number,
            "title": thread.title,
            "description": thread.body,
            "state": thread.state,
            "created_at": instant(thread.created),
            "updated_at": instant(thread.updated),
            "closed_at": thread.closed and instant(thread.closed),
            "closed_by": self.user(thread.closed_by),
            "labels": list(thread.labels),
            "milestone": None,
            "assignees": [],
            "assignee": None,
            "author": self.user(thread.user),
            "user_notes_count": len(thread.notes),
            "upvotes": 0,
            "downvotes": 0,
            "discussion_locked": None,
            "web_url": f"{self.web}/{project.path}/-/{kind}/{thread.number}",
            "references": {"short": short, "relative": short, "full": f"{project.path}{short}"},
        }

    def issue(self, project: Project, issue: Issue) -> Document:
        document = self._thread(project, issue, "issues", "#")
        return {**document, "type": "ISSUE", "issue_type": "issue", "confidential": False, "due_date": None}

    def merge_request(self, project: Project, source: Project, request: MergeRequest) -> Document:
        """A merge request as in lists."""
        return {
            **self._thread(project, request, "merge_requests", "!"),
            "merged_at": request.merged and instant(request.merged),
            "merged_by": self.user(request.merged_by),
            "merge_user": self.user(request.merged_by),
            "target_branch": request.target_branch,
            "source_branch": request.source_branch,
            "source_project_id": source.number,
            "target_project_id": project.number,
            "reviewers": [self.user(reviewer) for reviewer in request.reviewers],
            "draft": request.draft,
            "work_in_progress": request.draft,
            "merge_when_pipeline_succeeds": False,
            "merge_status": "can_be_merged",
            "detailed_merge_status": "draft_status" if request.draft else "mergeable",
            "sha": request.source_sha or None,
            "merge_commit_sha": request.merge_sha,
            "squash_commit_sha": None,
            "should_remove_source_branch": None,
            "force_remove_source_branch": False,
            "squash": False,
            "has_conflicts": False,
            "blocking_discussions_resolved": True,
        }

    def full_merge_request(self, project: Project, source: Project, request: MergeRequest, files: int) -> Document:
        """A merge request on its own."""
        ends = {"base_sha": request.target_sha, "start_sha": request.target_sha, "head_sha": request.source_sha}
        return {
            **self.merge_request(project, source, request),
            "subscribed": True,
            "changes_count": str(files),
            "pipeline": None,
            "head_pipeline": None,
            "diff_refs": ends,
            "merge_error": None,
            "user": {"can_merge": False},
        }

    def note(self, project: Project, thread: Issue, note: Note) -> Document:
        return {
            "id": note.number,
            "type": None,
            "body": note.body,
            "author": self.user(note.user),
            "created_at": instant(note.created),
            "updated_at": instant(note.updated),
            "system": False,
            "noteable_id": project.number * 10_000 + thread.number,
            "noteable_type": "MergeRequest" if isinstance(thread, MergeRequest) else "Issue",
            "noteable_iid": thread.number,
            "project_id": project.number,
            "resolvable": False,
            "confidential": False,
            "internal": False,
        }

    def commit(self, project: Project, commit: Commit) -> Document:
        people = {"author": commit.author, "committer": commit.committer}
        named = {
            f"{role}_{key}": value
            for role, person in people.items()
            for key, value in zip(("name", "email"), person, strict=False)
        }
        return {
            "id": commit.sha,
            "short_id": commit.sha[:8],
            "created_at": commit.committer[2],
            "authored_date": commit.author[2],
            "committed_date": commit.committer[2],
            "parent_ids": list(commit.parents),
            "title": commit.message.split("\n")[0],
            "message": commit.message,
            **named,
            "trailers": {},
            "web_url": f"{self.web}/{project.path}/-/commit/{commit.sha}",
        }

    def branch(self, project: Project, name: str, commit: Commit) -> Document:
        return {
            "name": name,
            "commit": self.commit(project, commit),
            "merged": False,
            "protected": False,
            "developers_can_push": False,
            "developers_can_merge": False,
            "can_push": True,
            "default": name == project.default_branch,
            "web_url": f"{self.web}/{project.path}/-/tree/{name}",
        }
