"""Directories for agents to work in: made, kept apart, and put away without losing anything."""

from workspaces.keeping import is_kept
from workspaces.protocol import Workspace, WorkspaceError, WorkspaceProvider, WorkspaceSpec
from workspaces.registry import is_kind, kinds, providers
from workspaces.worktrees import base_commit

__all__ = [
    "Workspace",
    "WorkspaceError",
    "WorkspaceProvider",
    "WorkspaceSpec",
    "base_commit",
    "is_kept",
    "is_kind",
    "kinds",
    "providers",
]
